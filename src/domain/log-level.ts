/** How loud a line of the log is, from what only developers read to what somebody must look at. */
export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]
