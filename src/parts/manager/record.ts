/** Keeps which process foreman started, so that the next foreman takes up exactly that one; a pid alone is never believed. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Process, Processes } from './processes.ts'

export interface Identity {
  readonly pid: number
  readonly startTicks: number
  readonly bootId: string
}

const fileIn = (dataDir: string) => join(dataDir, 'ollama.json')

const isIdentity = (value: unknown): value is Identity => {
  const { pid, startTicks, bootId } = Object(value) as Partial<Record<keyof Identity, unknown>>
  return Number.isInteger(pid) && Number.isInteger(startTicks) && typeof bootId === 'string'
}

/** Null when there is none that can be read. */
export const readRecord = (dataDir: string): Identity | null => {
  try {
    const value: unknown = JSON.parse(readFileSync(fileIn(dataDir), 'utf8'))
    return isIdentity(value) ? value : null
  } catch {
    // Not there yet, or half of it from before a power cut: the mark in its environment tells as well.
    return null
  }
}

export const writeRecord = (dataDir: string, { pid, startTicks, bootId }: Identity): void => {
  mkdirSync(dataDir, { recursive: true })
  const next = `${fileIn(dataDir)}.new`
  writeFileSync(next, JSON.stringify({ pid, startTicks, bootId }), { mode: 0o600 })
  renameSync(next, fileIn(dataDir))
}

export const identityOf = (processes: Processes, { pid, startTicks }: Process): Identity => ({
  pid,
  startTicks,
  bootId: processes.bootId(),
})

/** The process of this identity, while it lives. */
export const livingOf = (processes: Processes, identity: Identity | null): Process | null => {
  if (identity === null || identity.bootId !== processes.bootId()) return null
  const found = processes.of(identity.pid)
  return found?.startTicks === identity.startTicks ? found : null
}
