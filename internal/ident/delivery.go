package ident

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// A delivery is named by two keys. They share twelve bytes, seven for the event (2^56
// of them last at 20,000 a second for 100,000 years) and five for the endpoint (10^12),
// which leaves three for the check. A guess passes it once in 16 million times and then
// names, with the same luck again, a delivery of some tenant: whoever looks one up must
// compare its tenant.
const (
	eventKeyBytes    = 7
	endpointKeyBytes = 5
	pairBytes        = eventKeyBytes + endpointKeyBytes
)

// Delivery returns the identifier of an event's delivery to an endpoint. Keys that do
// not fit the room above panic.
func (c *Codec) Delivery(acceptedAt time.Time, event store.EventKey, endpoint store.EndpointKey) webhook.DeliveryID {
	if uint64(event)>>(8*eventKeyBytes) != 0 || uint64(endpoint)>>(8*endpointKeyBytes) != 0 {
		panic("ident: key is out of range")
	}
	raw := webhook.MakeRawID(acceptedAt, [15]byte{})
	block := c.scratch.Get().(*[aes.BlockSize]byte)
	defer c.scratch.Put(block)

	pair := joinKeys(event, endpoint)
	check := c.pairCheck(block, &raw, &pair)
	subtle.XORBytes(raw[5:5+pairBytes], pair[:], c.mask(block, deliveryNumber, &raw, check[:]))
	copy(raw[5+pairBytes:], check[:])
	return webhook.DeliveryID(raw.Format(webhook.DeliveryPrefix))
}

// ParseDelivery returns the keys and the event's time in a delivery's identifier.
func (c *Codec) ParseDelivery(id webhook.DeliveryID) (store.EventKey, store.EndpointKey, time.Time, error) {
	raw, err := webhook.ParseRawID(webhook.DeliveryPrefix, string(id))
	if err != nil {
		return 0, 0, time.Time{}, err
	}
	block := c.scratch.Get().(*[aes.BlockSize]byte)
	defer c.scratch.Put(block)

	given := raw[5+pairBytes:]
	var pair [pairBytes]byte
	subtle.XORBytes(pair[:], raw[5:5+pairBytes], c.mask(block, deliveryNumber, &raw, given))
	check := c.pairCheck(block, &raw, &pair)
	if subtle.ConstantTimeCompare(check[:], given) != 1 {
		return 0, 0, time.Time{}, foreign(string(id))
	}
	event, endpoint := splitKeys(&pair)
	return event, endpoint, raw.Time(), nil
}

// pairCheck is a CBC-MAC over two blocks, as time and keys do not fit one.
func (c *Codec) pairCheck(block *[aes.BlockSize]byte, raw *webhook.RawID, pair *[pairBytes]byte) (check [3]byte) {
	*block = [aes.BlockSize]byte{0: deliveryNumber, 15: wideCheckUse}
	copy(block[1:], raw[:5])
	c.block.Encrypt(block[:], block[:])
	subtle.XORBytes(block[:pairBytes], block[:pairBytes], pair[:])
	c.block.Encrypt(block[:], block[:])
	copy(check[:], block[:])
	return check
}

func joinKeys(event store.EventKey, endpoint store.EndpointKey) (pair [pairBytes]byte) {
	var wide [8]byte
	binary.BigEndian.PutUint64(wide[:], uint64(event)) //nolint:gosec // keys are positive
	copy(pair[:eventKeyBytes], wide[8-eventKeyBytes:])
	binary.BigEndian.PutUint64(wide[:], uint64(endpoint)) //nolint:gosec // keys are positive
	copy(pair[eventKeyBytes:], wide[8-endpointKeyBytes:])
	return pair
}

func splitKeys(pair *[pairBytes]byte) (store.EventKey, store.EndpointKey) {
	var event, endpoint [8]byte
	copy(event[8-eventKeyBytes:], pair[:eventKeyBytes])
	copy(endpoint[8-endpointKeyBytes:], pair[eventKeyBytes:])
	return store.EventKey(binary.BigEndian.Uint64(event[:])), //nolint:gosec // seven bytes
		store.EndpointKey(binary.BigEndian.Uint64(endpoint[:])) //nolint:gosec // five bytes
}
