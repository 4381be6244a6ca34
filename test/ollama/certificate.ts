/** Makes a self-signed certificate for a test, so that no key lies in the repository and none can expire. */
import { generateKeyPairSync, sign } from 'node:crypto'

export interface TestCertificate {
  cert: string
  key: string
}

const der = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag, ...derLength(content.length)]), content])
}

// DER allows only the shortest form of a length.
const derLength = (length: number): number[] => {
  if (length < 128) return [length]
  return length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
}

const sequence = (...parts: Uint8Array[]): Buffer => der(0x30, ...parts)
const objectId = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'))
const bitString = (bytes: Uint8Array): Buffer => der(0x03, Buffer.from([0]), bytes)
// UTCTime, which X.509 wants until 2049: YYMMDDHHMMSSZ.
const time = (date: Date): Buffer => der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`))

const DAY_MS = 86_400_000
const ecdsaWithSha256 = sequence(objectId('2a8648ce3d040302'))

/** An ECDSA certificate for the given DNS name and for 127.0.0.1, valid for a day around `now`. */
export const createCertificate = (name: string, now = Date.now()): TestCertificate => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const subject = sequence(der(0x31, sequence(objectId('550403'), der(0x0c, Buffer.from(name)))))
  const names = sequence(der(0x82, Buffer.from(name)), der(0x87, Buffer.from([127, 0, 0, 1])))
  const basic = sequence(objectId('551d13'), der(0x04, sequence(der(0x01, Buffer.from([255])))))
  const alternatives = sequence(objectId('551d11'), der(0x04, names))
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    subject,
    sequence(time(new Date(now - DAY_MS)), time(new Date(now + DAY_MS))),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(basic, alternatives)),
  )
  const certificate = sequence(body, ecdsaWithSha256, bitString(sign('sha256', body, privateKey)))
  const lines = certificate.toString('base64').replace(/.{1,64}/g, '$&\n')
  const cert = `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`
  return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}
