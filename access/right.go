package access

import "strings"

// Right is what an operation needs of whoever asks for it. Its zero value is none at all:
// an operation that was given no right is a mistake.
type Right uint8

// The rights. They say nothing of where: that is a matter of what a token is confined to.
const (
	_ Right = iota
	// Nothing is had by every valid token.
	Nothing
	// View reads what is no secret: applications, endpoints, messages with their payloads,
	// attempts with their answers, statistics.
	View
	// ViewSecret reads the key that an endpoint's requests are signed with.
	ViewSecret
	// ViewHeaders reads the values of the headers that are added to an endpoint's requests,
	// as far as anybody may: they are credentials as often as not.
	ViewHeaders
	// ManageSecret replaces the key that an endpoint's requests are signed with.
	ManageSecret
	// ManageEndpoint makes, changes, pauses and deletes endpoints.
	ManageEndpoint
	// CreateAttempts sends again what was sent, or an example: resend, recover,
	// replay-missing, send-example, verify.
	CreateAttempts
	// Publish sends messages.
	Publish
	// Administer is everything else: applications, event types, tokens, and what can't be
	// undone.
	Administer

	rightsEnd
)

var rightNames = [rightsEnd]string{
	"", "nothing", "view", "view_secret", "view_headers", "manage_secret", "manage_endpoint", "create_attempts",
	"publish", "administer",
}

// String returns the right's name.
func (r Right) String() string {
	if r >= rightsEnd {
		return "unknown"
	}
	return rightNames[r]
}

// AllRights returns every right there is.
func AllRights() []Right {
	all := make([]Right, 0, rightsEnd-1)
	for r := Nothing; r < rightsEnd; r++ {
		all = append(all, r)
	}
	return all
}

// Rights is a set of rights. Its zero value has none but Nothing.
type Rights uint16

func rights(list ...Right) (set Rights) {
	for _, r := range list {
		set |= 1 << r
	}
	return set
}

// everything is what an administrator may.
const everything = Rights(1<<rightsEnd - 2)

// Has says whether the right is in the set. Nothing is in every set; the zero Right and
// unknown ones are in none.
func (set Rights) Has(r Right) bool {
	return r == Nothing || r > Nothing && r < rightsEnd && set&(1<<r) != 0
}

// String lists the rights by name.
func (set Rights) String() string {
	var names []string
	for _, r := range AllRights() {
		if r != Nothing && set.Has(r) {
			names = append(names, r.String())
		}
	}
	return strings.Join(names, " ")
}
