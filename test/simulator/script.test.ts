/** Markers in prompts. */
import { describe, expect, test } from 'bun:test'
import { readScript } from '../../src/simulator/script.ts'

const read = (prompt: string) => readScript({ prompt, thinks: false, hasTools: true, numPredict: -1, speech: null })
const said = (prompt: string) => read(prompt).pieces.map(({ text }) => text)

describe('the script of a prompt', () => {
  test('without markers is five tokens and a clean end', () => {
    expect(said('hello')).toEqual(['tok0 ', 'tok1 ', 'tok2 ', 'tok3 ', 'tok4 '])
    expect(read('hello').ending).toEqual({ kind: 'done', reason: 'stop' })
  })

  test('says tokens of a given size, as many as n asks for', () => {
    expect(said('[[chunk=4]]')).toEqual(['xxxx'])
    expect(said('[[n=2]] [[chunk=3]]')).toEqual(['xxx', 'xxx'])
  })

  test('collects every id', () => {
    expect(read('[[id=a]] and [[id=b]]').ids).toEqual(['a', 'b'])
  })

  test('takes nonsense for its default and bounds what would eat the memory', () => {
    expect(said('[[n=many]]')).toHaveLength(5)
    expect(said('[[n=-3]]')).toEqual([])
    expect(said('[[n=1e12]]')).toHaveLength(1_000_000)
    expect(read('[[err=x]]').ending).toMatchObject({ kind: 'broken', status: 500 })
    expect(read('[[crash=x]]').pieces).toEqual([])
    expect(read('[[silent=x]]').silentMs).toBe(0)
  })
})
