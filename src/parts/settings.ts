/** The one list of the parts' settings; a part's rows are in the table, the help and the documents' test by their line here. */
export { embedderSettings } from './embedder/settings.ts'
