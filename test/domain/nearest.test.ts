import { expect, test } from 'bun:test'
import { nearest } from '../../src/domain/nearest.ts'

test('a slip of the hand finds the word that was meant', () => {
  const verbs = ['serve', 'simulate', 'status', 'models', 'version']
  expect(['sreve', 'serv', 'Status', 'model', 'simluate'].map((word) => nearest(word, verbs))).toEqual([
    'serve',
    'serve',
    'status',
    'models',
    'simulate',
  ])
})

test('nothing is guessed for a word that is far from all', () => {
  expect(['deploy', 'x', ''].map((word) => nearest(word, ['serve', 'status']))).toEqual([null, null, null])
})
