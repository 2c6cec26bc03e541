package access

// Scope is what a token of the API is for. A token may have several.
type Scope string

// The scopes.
const (
	// Admin may do everything in its organisation, make tokens too.
	Admin Scope = "admin"
	// Publisher sends messages, single and in batches, and reads nothing.
	Publisher Scope = "publish"
	// Reader reads all that is no secret: neither signing keys nor the values of headers.
	Reader Scope = "read"
)

// Scopes returns every scope.
func Scopes() []Scope { return []Scope{Admin, Publisher, Reader} }

// Capability is something that a portal's token may do, by the name that clients send.
type Capability string

// The capabilities.
const (
	// CanViewBase reads all that is no secret. No token is without it.
	CanViewBase Capability = "ViewBase"
	// CanViewEndpointSecret reads the keys that endpoints are signed with.
	CanViewEndpointSecret Capability = "ViewEndpointSecret"
	// CanManageEndpointSecret reads and replaces them.
	CanManageEndpointSecret Capability = "ManageEndpointSecret"
	// CanManageTransformations is known to clients. There are no transformations, so it gives
	// nothing.
	CanManageTransformations Capability = "ManageTransformations"
	// CanCreateAttempts sends again what was sent, or an example.
	CanCreateAttempts Capability = "CreateAttempts"
	// CanManageEndpoint makes, changes and deletes endpoints, with their
	// keys and headers.
	CanManageEndpoint Capability = "ManageEndpoint"
)

// Capabilities returns every capability.
func Capabilities() []Capability {
	return []Capability{
		CanViewBase, CanViewEndpointSecret, CanManageEndpointSecret, CanManageTransformations, CanCreateAttempts, CanManageEndpoint,
	}
}

var scopeRights = map[Scope]Rights{
	Admin:     everything,
	Publisher: rights(Publish),
	Reader:    rights(View),
}

var capabilityRights = map[Capability]Rights{
	CanViewBase:             rights(View),
	CanViewEndpointSecret:   rights(ViewSecret),
	CanManageEndpointSecret: rights(ViewSecret, ManageSecret),
	CanCreateAttempts:       rights(CreateAttempts),
	CanManageEndpoint:       rights(ViewSecret, ViewHeaders, ManageSecret, ManageEndpoint),
}

// onlyReading are the rights that a read-only token may have at all.
var onlyReading = rights(View, ViewSecret, ViewHeaders)

// PortalRights returns the rights of a portal's token. No capabilities are all of them,
// or for a read-only token CanViewBase alone; of those named to a read-only token, the ones
// that only read are left.
func PortalRights(capabilities []Capability, readOnly bool) (set Rights) {
	if len(capabilities) == 0 {
		capabilities = Capabilities()
		if readOnly {
			capabilities = []Capability{CanViewBase}
		}
	}
	for _, c := range capabilities {
		set |= capabilityRights[c]
	}
	if readOnly {
		set &= onlyReading
	}
	return set
}
