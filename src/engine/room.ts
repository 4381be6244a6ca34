/** How many models the target has been seen to hold together, and so whether what is loaded can stand in another one's way. */
import type { ResidentModel } from '../domain/wire/inventory.ts'
import type { Look } from './look.ts'
import type { TargetState } from './state.ts'

export interface Room {
  /** What is loaded while this model is not; null = it is there, or the target does not say. */
  others(model: string): Promise<readonly ResidentModel[] | null>
  /** What stands in the way, if anything does. With room left over a load that takes long is only a load that takes long. */
  inTheWay(others: readonly ResidentModel[] | null): readonly ResidentModel[]
}

export interface RoomDeps {
  readonly look: Look
  readonly state: Pick<TargetState, 'residency'>
}

/** Nothing has been seen yet. */
export const createRoom = ({ look, state }: RoomDeps): Room => {
  let mostTogether = 0
  return {
    async others(model) {
      const residents = await look()
      if (residents === null) return null
      mostTogether = Math.max(mostTogether, state.residency.residents.length, residents.length)
      return residents.some(({ canonical }) => canonical === model) ? null : residents
    },
    inTheWay: (others) => (others === null || others.length < mostTogether ? [] : others),
  }
}
