/** Text files that the binary carries and serves. */
declare module '*.txt' {
  const text: string
  export default text
}
