/** A field of a form is found beside a file with anything in it, and never in the file. */
import { describe, expect, test } from 'bun:test'
import { multipartField, multipartFieldInTurns } from '../../../src/domain/wire/multipart.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

describe('a field of a form', () => {
  const part = (head: string, value: string) => `--b\r\n${head}\r\n\r\n${value}\r\n`
  const named = (name: string, value: string) => part(`Content-Disposition: form-data; name="${name}"`, value)
  const type = 'multipart/form-data; boundary=b'
  const modelIn = (body: string, contentType = type) => multipartField(bytes(body), contentType, 'model')

  test('is found before and after a file with anything in it', () => {
    const file = part(
      'Content-Disposition: form-data; name="file"; filename="model"\r\nContent-Type: audio/wav',
      '\r\n\r\n--c\r\nname="model"\r\n\r\nno',
    )
    expect(modelIn(`${named('model', 'whisper')}${file}--b--\r\n`)).toBe('whisper')
    expect(modelIn(`${file}${named('model', 'whisper:lärge')}--b--\r\n`)).toBe('whisper:lärge')
    expect(modelIn(`${file}--b--\r\n`)).toBeNull()
  })

  test('is the last of several, and not one that only sounds like it', () => {
    expect(modelIn(`${named('model', 'a')}${named('model', 'b')}--b--`)).toBe('b')
    expect(modelIn(`${named('model_name', 'a')}${named('xmodel', 'b')}--b--`)).toBeNull()
  })

  test.each(['text/plain', '', 'multipart/form-data', 'multipart/form-data; boundary=other'])(
    'is nowhere when the content type is %j',
    (contentType) => {
      expect(modelIn(`${named('model', 'a')}--b--`, contentType)).toBeNull()
    },
  )

  test('is found with a quoted boundary, and in a body that was cut off never halfway', () => {
    expect(modelIn(`${named('model', 'a')}--b--`, 'multipart/form-data; charset=x; boundary="b"')).toBe('a')
    expect(modelIn('--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisp')).toBeNull()
  })
})

test('forms made to take long are read in turns of some milliseconds', async () => {
  const type = 'multipart/form-data; boundary=b'
  const model = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n'
  const forms = [`${'-'.repeat(2_000_000)}${model}`, `${'x'.repeat(30_000_000)}${model}`]
  for (const form of forms) {
    let turns = 0
    const turn = async () => {
      turns += 1
    }
    expect(await multipartFieldInTurns(bytes(form), type, 'model', turn)).toBe('whisper')
    if (!form.startsWith('x')) expect(turns).toBeGreaterThan(100)
  }
})

test('a form of more parts than Go takes has no model', () => {
  const type = 'multipart/form-data; boundary=b'
  const model = 'Content-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n'
  expect(multipartField(bytes(`${'--b\r\n'.repeat(1_000)}${model}`), type, 'model')).toBe('whisper')
  expect(multipartField(bytes(`${'--b\r\n'.repeat(1_005)}${model}`), type, 'model')).toBeNull()
})
