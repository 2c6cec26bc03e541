package httpapi

// What the document says of the whole. It is CommonMark, as far as paragraphs, lists and
// code in a line go: that much the reference shows.
const (
	documentText = "Send webhooks. Paths, names and shapes are those that published Svix client libraries speak: " +
		"give one the address of this server and a token, and it works.\n" +
		"\n" +
		"An *application* is one of your customers, an *endpoint* is a URL of theirs, and a *message* goes to every endpoint " +
		"of its application that hears of its type. An *attempt* is one request that was made to bring it there.\n" +
		"\n" +
		"- **Names.** Applications, endpoints and messages are named in a path by their id or by your own uid (`eventId` for a message).\n" +
		"- **Bodies** are JSON in UTF-8. In POST and PUT, what is left out or null has its default; in PATCH, what is left out stays and null clears.\n" +
		"- **Names that nobody knows** are ignored, and told in the answer's `neohook-ignored`.\n" +
		"- **Lists** have `data`, `iterator`, `prevIterator` and `done`. Pass `iterator` back for the next page, `prevIterator` for the one before. " +
		"A filtered page may be short, or empty, while `done` is false: go on.\n" +
		"- **Repeats.** A POST with an `idempotency-key` is carried out once.\n" +
		"- **Refusals** are `{\"code\",\"detail\"}`, and for a request that is not valid (422) a list of everything that is wrong with it.\n" +
		"- **Times** are RFC 3339 in UTC.\n" +
		"- Whatever can be asked with GET can be asked with HEAD."
	tokenText = "A token that the server's operator made. Behind it in an operation stands whose it may be: `organisation` is one " +
		"for everything, `application` one for a single application or for everything, `any` is either, `operator` one of the server's own " +
		"organisation; then what it must give the right to."
)
