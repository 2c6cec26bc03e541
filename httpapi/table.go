package httpapi

import "slices"

// operations is the table of all that is served below basePath, in the order in which the
// reference shows each group. The rows of a noun stand in its file, beside what serves them.
func operations() []*operation {
	return slices.Concat(
		healthOperations(), documentOperations(), adapterOperations(),
		portalOperations(), tokenOperations(),
		applicationOperations(), retentionOperations(),
		eventTypeOperations(), importOperations(),
		endpointOperations(), pauseOperations(), conditionOperations(), secretOperations(), headerOperations(),
		exampleOperations(), probeOperations(),
		messageOperations(), batchOperations(),
		attemptOperations(), resendOperations(), attemptedOperations(),
		deliveryOperations(), recoverOperations(), taskOperations(), streamOperations(),
		statisticsOperations(), expungeOperations(),
		operationalOperations(),
	)
}
