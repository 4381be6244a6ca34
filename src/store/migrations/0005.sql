-- Steady time: due times, ages and times to live count real time whatever the wall clock is set to (ADR 0012).

-- The last moment that was written down: where steady time goes on after a start.
CREATE TABLE steady_time (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  steady_ms INTEGER NOT NULL,
  -- The machine's own start and how long ago that was, sleep included; NULL where it does not say.
  boot_id   TEXT,
  boot_ms   INTEGER,
  CHECK ((boot_id IS NULL) = (boot_ms IS NULL))
) STRICT;

-- From this steady time on the wall clock was so far ahead of it: how people are shown what was written in steady time.
CREATE TABLE wall_offsets (
  since_ms  INTEGER PRIMARY KEY,
  offset_ms INTEGER NOT NULL
) STRICT;
