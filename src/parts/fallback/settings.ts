/** The rows of the fallback in the table of settings. */
import { durationBetween, integerBetween, optional, readServerUrl, readToken } from '../../domain/readers.ts'
import type { SettingRows, ValuesOf } from '../../domain/setting.ts'
import type { PartPorts } from '../../engine/part.ts'
import { parseModelMap } from './models.ts'
import { parseClientPolicies } from './policy.ts'

const DAY_MS = 86_400_000

export const settings = {
  fallbackUrl: {
    variable: 'FOREMAN_FALLBACK_URL',
    fallback: '',
    meaning: 'a second server that speaks the wire of Ollama and answers while the target cannot',
    allowed: 'a URL such as http://laptop:11434, http://nas:8080 (another foreman) or https://ollama.com',
    parse: optional(readServerUrl(11_434)),
  },
  fallbackToken: {
    variable: 'FOREMAN_FALLBACK_TOKEN',
    fallback: '',
    meaning: 'bearer token sent to the fallback',
    allowed: 'up to 4096 printable ASCII characters without blanks',
    secret: true,
    parse: readToken,
  },
  fallbackModels: {
    variable: 'FOREMAN_FALLBACK_MODELS',
    fallback: '',
    meaning: "which of the fallback's models stands in for which of the target's; one that is not named has none",
    allowed: 'pairs such as qwen3:14b=llama3.2:3b,*=same (same: by the same name; none: nothing stands in)',
    parse: parseModelMap,
  },
  fallbackAfterMs: {
    variable: 'FOREMAN_FALLBACK_AFTER',
    fallback: '5s',
    meaning: 'how long the target must have been away before a waiting client is given to the fallback',
    allowed: 'a duration such as 5s (a bare number is seconds) from 0 to 24h',
    parse: durationBetween(0, DAY_MS),
  },
  fallbackConcurrency: {
    variable: 'FOREMAN_FALLBACK_CONCURRENCY',
    fallback: '1',
    meaning: 'calls that the fallback is given at once; the others wait in order',
    allowed: 'a whole number from 1 to 64',
    parse: integerBetween(1, 64),
  },
  fallbackClients: {
    variable: 'FOREMAN_FALLBACK_CLIENTS',
    fallback: '',
    meaning: 'by the name of a token (FOREMAN_TOKENS): never, auto or only; never wins over what a call asks for',
    allowed: 'pairs such as alice=never,ci=only,*=auto',
    parse: parseClientPolicies,
  },
} satisfies SettingRows

export type FallbackSettings = ValuesOf<typeof settings>

export type FallbackPorts = PartPorts<FallbackSettings>
