/** A process of its own that posts one webhook to the URL given, so that a test can choose its environment. */
import { createDeliveryRig } from './delivery-rig.ts'

const { post, delivery } = createDeliveryRig()
const outcome = await post(process.argv[2] ?? '')
delivery.close()
process.stdout.write(JSON.stringify(outcome))
