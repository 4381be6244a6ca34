/** A process that opens the database it is given, says when it begins and when it is done, and waits to be killed. */
import { openDatabase } from '../../src/store/database.ts'

process.stdout.write('begun\n')
const result = openDatabase(process.argv[2] ?? '')
process.stdout.write(`${result.kind === 'opened' ? 'opened' : result.message}\n`)
setInterval(() => undefined, 1_000)
