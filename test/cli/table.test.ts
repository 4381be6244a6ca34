import { expect, test } from 'bun:test'
import { createStyle, humanBytes, humanSpan, renderTable } from '../../src/cli/table.ts'

const plain = createStyle({
  env: {},
  stdout: { isTerminal: false, isClosed: false, backlog: 0, columns: null, write: () => undefined },
})

test('columns are as wide as their widest cell, wide letters included, and no line ends in blanks', () => {
  expect(
    renderTable(
      ['NAME', 'SIZE'],
      [
        ['日本', '1'],
        ['a', '22222'],
      ],
      plain,
      ['SIZE'],
    ),
  ).toBe('NAME   SIZE\n日本      1\na     22222\n')
  expect(renderTable(['A', 'B'], [['x', '']], plain)).toBe('A  B\nx\n')
})

test('sizes and spans are written as people say them', () => {
  expect([0, 999, 2_019_393_189, 42_520_413_916, 274_302_450, 1.5e12].map(humanBytes)).toEqual([
    '0 B',
    '999 B',
    '2.0 GB',
    '43 GB',
    '274 MB',
    '1.5 TB',
  ])
  expect([-5, 400, 59_000, 61_000, 3_600_000, 12_000_000, 90_000_000, 172_800_000].map(humanSpan)).toEqual([
    '0s',
    '0s',
    '59s',
    '1m',
    '1h',
    '3h 20m',
    '1d 1h',
    '2d',
  ])
})

test('columns that may give way are cut until the table fits, and no further than they may', () => {
  const rows = [['a-very-long-name', 'a note of many words', '12']]
  const fit = (columns: number) =>
    renderTable(['NAME', 'NOTE', 'N'], rows, plain, ['N'], {
      columns,
      narrow: [
        ['NOTE', 8],
        ['NAME', 6],
      ],
    })
  expect(fit(80)).toContain('a-very-long-name  a note of many words  12')
  expect(fit(36)).toContain('a-very-long-name  a note of man…  12')
  expect(fit(30)).toContain('a-very-long-name  a note…   12')
  expect(fit(20)).toContain('a-ver…  a note…   12')
  expect(fit(5)).toBe(fit(20))
})
