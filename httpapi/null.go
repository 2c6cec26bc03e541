package httpapi

// unlessZero is null on the wire where the domain has its zero value for "none".
func unlessZero[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// unlessEmpty is null on the wire where the domain has an empty list for "all".
func unlessEmpty(list []string) *[]string {
	if len(list) == 0 {
		return nil
	}
	return &list
}
