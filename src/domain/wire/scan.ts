/** What a scan of a JSON body finds: where the members that were asked for are, not what is in them. */
import type { JsonType } from './go-syntax.ts'

/** One member of the top-level object: its decoded key and the byte range of its value. */
export interface Field {
  readonly key: string
  readonly type: JsonType
  /** Where the key's opening quote is. */
  readonly keyStart: number
  readonly start: number
  readonly end: number
  /** The comma before it; null for the first one. */
  readonly commaAt: number | null
  /** Where the next member's key begins; null for the last one. */
  readonly nextAt: number | null
}

/** What the first JSON value of a body is. Bytes after it are ignored, as Ollama ignores them. */
export type Scan =
  | {
      readonly kind: 'object'
      /** The members that were asked for, in their order. */
      readonly fields: readonly Field[]
      readonly isEmpty: boolean
      /** The offset of the closing brace. */
      readonly end: number
    }
  | { readonly kind: 'other'; readonly type: Exclude<JsonType, 'object'> }
  | { readonly kind: 'empty' }
  | { readonly kind: 'malformed'; readonly message: string }

/** Which members are kept; the key is as Go compares it, see `foldKey`. */
export type Wanted = (foldedKey: string) => boolean
