/** A process of its own that posts one webhook to the URL given, so that a test can choose its environment. */
import { createDeliveryRig } from './delivery-rig.ts'

const outcome = await createDeliveryRig().post(process.argv[2] ?? '')
process.stdout.write(JSON.stringify(outcome))
