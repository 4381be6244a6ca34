# One executable in a small image. It is written from what the executable was measured to need (glibc and a mounted /proc),
# but no image has been built from this file yet: build it, and run `docker run … healthcheck`, before you rely on it.
FROM node:22-bookworm-slim AS build
RUN npm install --global bun@1.4.5
WORKDIR /build
COPY package.json bun.lock bunfig.toml ./
RUN bun install --frozen-lockfile --production
COPY tsconfig.json ./
COPY src src
COPY scripts scripts
RUN bun scripts/build.ts && mkdir /data

# base, not static: the executable links glibc.
FROM gcr.io/distroless/base-debian12:nonroot
COPY --from=build /build/dist/foreman /usr/local/bin/foreman
COPY --from=build --chown=65532:65532 /data /data
ENV FOREMAN_ADDR=:8080 FOREMAN_DATA_DIR=/data
USER 65532:65532
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["foreman", "healthcheck"]
# The running job gets 10 s before it is put back; allow that much: docker stop --time 15.
ENTRYPOINT ["foreman"]
CMD ["serve"]
