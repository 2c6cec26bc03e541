package neohook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// MaxGrace is the longest that a replaced secret may sign on.
const MaxGrace = 7 * 24 * time.Hour

// RotateSecret replaces an endpoint's Secret; "" generates one of the same kind. For
// grace, 0 to MaxGrace, the old one signs beside it, so that a receiver can change over
// in its own time; with 0 it stops signing at once. ErrTooManySecrets: ten replaced
// secrets still sign.
func (o *Organisation) RotateSecret(ctx context.Context, tenant webhook.TenantID, ref webhook.EndpointID, secret webhook.Secret, grace time.Duration) error {
	if grace < 0 || grace > MaxGrace {
		var bad webhook.InvalidError
		bad.Add("grace", fmt.Sprintf("must be between 0 and %d seconds", int(MaxGrace.Seconds())))
		return bad.Err()
	}
	owner, found, err := o.endpoint(ctx, tenant, ref)
	if err != nil {
		return err
	}
	at := now()
	once, err := o.storeOnce(at, rotateSecretOp, int64(owner.Key), int64(found.Key))
	if err != nil {
		return err
	}
	if _, repeat, err := o.replay(ctx, once, at); repeat || err != nil {
		return err
	}
	_, err = o.updateEndpoint(ctx, tenant, ref, once, func(ep *webhook.Endpoint) error {
		return rotate(ep, secret, at, grace)
	})
	_, _, err = replayed(err)
	return err
}

// rotate puts secret in the place of the endpoint's own.
func rotate(ep *webhook.Endpoint, secret webhook.Secret, at time.Time, grace time.Duration) error {
	old := ep.Secret
	if secret == "" {
		secret = generateLike(old)
	}
	ep.Secret = secret
	ep.RetiringSecrets = slices.DeleteFunc(ep.RetiringSecrets, func(retiring webhook.RetiringSecret) bool {
		return !at.Before(retiring.Expires) || retiring.Secret == secret || retiring.Secret == old
	})
	if grace > 0 && secret != old {
		ep.RetiringSecrets = append(ep.RetiringSecrets, webhook.RetiringSecret{Secret: old, Expires: at.Add(grace)})
	}
	if len(ep.RetiringSecrets) > webhook.MaxRetiringSecrets {
		return ErrTooManySecrets
	}
	return nil
}

func generateLike(old webhook.Secret) webhook.Secret {
	if kind, _, err := old.Decode(); err == nil && kind == webhook.Ed25519Secret {
		return signature.GenerateEd25519()
	}
	return signature.Generate()
}
