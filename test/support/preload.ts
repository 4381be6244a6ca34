/** Runs before every test file; it makes a stray rejection fail the run and must never hide one. */
process.on('unhandledRejection', (reason) => {
  throw reason
})
