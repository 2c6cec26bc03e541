package httpapi

// operationally lets a handler work on the endpoints that an organisation's operational
// events go to: they are those of an application like any other, whose name clients need
// not know.
func operationally[Q, B, A any](handle handler[Q, B, A]) handler[Q, B, A] {
	return func(c *call, query *Q, body *B) (out A, _ error) {
		acting, tenant, err := c.org.Operational(c.ctx())
		if err != nil {
			return out, err
		}
		c.org, c.app = acting, tenant
		return handle(c, query, body)
	}
}
