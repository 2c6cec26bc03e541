package storetest

import (
	"testing"

	"github.com/neohook/neohook/store"
)

// Run holds a store to its contract. open returns an empty store and closes it in
// t.Cleanup.
func Run(t *testing.T, open func(*testing.T) store.Store) {
	for _, c := range []struct {
		promise string
		holds   func(*world)
	}{
		{"InstanceIsMadeOnce", instanceIsMadeOnce},
		{"PauseIsKept", pauseIsKept},
		{"FirstTokenIsStoredOnce", firstTokenIsStoredOnce},
		{"ReplacedTokenOpensNothing", replacedTokenOpensNothing},
		{"TokenComesBackAsStored", tokenComesBackAsStored},
		{"TokenNeedsItsTenant", tokenNeedsItsTenant},
		{"RepeatedTokenIsStoredOnce", repeatedTokenIsStoredOnce},
		{"TokensPageBothWays", tokensPageBothWays},
		{"ExpiredTokenIsNotThere", expiredTokenIsNotThere},
		{"DeletedTokenIsNotThere", deletedTokenIsNotThere},
		{"DeletedTenantTakesItsTokensAlong", deletedTenantTakesItsTokensAlong},
		{"ExpiringEndsATenantsTokens", expiringEndsATenantsTokens},
		{"ExpiringSessionsEndsTheirTokens", expiringSessionsEndsTheirTokens},
		{"ExpiringEndsATenantsSignedTokens", expiringEndsATenantsSignedTokens},
		{"RefusedTokenIsRefusedUntilItExpires", refusedTokenIsRefusedUntilItExpires},

		{"DrawnKeysAscend", drawnKeysAscend},
		{"TenantComesBackAsStored", tenantComesBackAsStored},
		{"EndpointComesBackAsStored", endpointComesBackAsStored},
		{"TenantIsItsOrganisationsOnly", tenantIsItsOrganisationsOnly},
		{"EndpointIsItsTenantsOnly", endpointIsItsTenantsOnly},
		{"TenantUIDIsUniqueInItsOrganisation", tenantUIDIsUniqueInItsOrganisation},
		{"EndpointUIDIsUniqueInItsTenant", endpointUIDIsUniqueInItsTenant},
		{"NoUIDIsNobodys", noUIDIsNobodys},
		{"DeletedUIDIsFree", deletedUIDIsFree},
		{"UpdateNeedsTheVersionBefore", updateNeedsTheVersionBefore},
		{"UpdateLeavesOwnerAndCreation", updateLeavesOwnerAndCreation},
		{"UpdateToATakenUIDIsAConflict", updateToATakenUIDIsAConflict},
		{"FirstRefusalOfAnUpdateCounts", firstRefusalOfAnUpdateCounts},
		{"DeletedTenantTakesItsEndpointsAlong", deletedTenantTakesItsEndpointsAlong},
		{"DeletedIsNotFound", deletedIsNotFound},
		{"EndpointNeedsItsTenant", endpointNeedsItsTenant},
		{"TenantsPageBothWays", tenantsPageBothWays},
		{"EndpointsPageBothWays", endpointsPageBothWays},
		{"RoutesHoldAllEndpointsAscending", routesHoldAllEndpointsAscending},
		{"RoutesVersionRisesWithEveryChange", routesVersionRisesWithEveryChange},
		{"RefusedChangeLeavesRoutes", refusedChangeLeavesRoutes},

		{"EventTypeComesBackAsStored", eventTypeComesBackAsStored},
		{"EventTypeIsItsOrganisationsOnly", eventTypeIsItsOrganisationsOnly},
		{"EventTypeNameIsUnique", eventTypeNameIsUnique},
		{"EventTypeNeedsTheVersionBefore", eventTypeNeedsTheVersionBefore},
		{"EventTypesAreStoredTogether", eventTypesAreStoredTogether},
		{"EventTypesAreStoredOnce", eventTypesAreStoredOnce},
		{"DeletedEventTypeIsGone", deletedEventTypeIsGone},
		{"EventTypesPageByName", eventTypesPageByName},
		{"EventTypeFiltersNarrow", eventTypeFiltersNarrow},
		{"EventTypeListsAdvance", eventTypeListsAdvance},
		{"EventTypesAreNotShared", eventTypesAreNotShared},

		{"RepeatedChangeIsMadeOnce", repeatedChangeIsMadeOnce},
		{"RepeatedUpdateIsMadeOnce", repeatedUpdateIsMadeOnce},
		{"OtherRequestIsAMismatch", otherRequestIsAMismatch},
		{"RefusedChangeLeavesNoOnce", refusedChangeLeavesNoOnce},
		{"ReplayComesBeforeOtherRefusals", replayComesBeforeOtherRefusals},
		{"ReplayChangesNothing", replayChangesNothing},
		{"OnceHoldsUntilItsTTLHasPassed", onceHoldsUntilItsTTLHasPassed},
		{"ChangeIsKnownAmongMany", changeIsKnownAmongMany},
		{"EventIsKnownAmongMany", eventIsKnownAmongMany},
		{"OnceHoldsWhenTheClockStepsBack", onceHoldsWhenTheClockStepsBack},

		{"AcceptedEventIsStoredWhole", acceptedEventIsStoredWhole},
		{"KeysAscendInBatchOrder", keysAscendInBatchOrder},
		{"OneBadEventSparesItsBatch", oneBadEventSparesItsBatch},
		{"StaleRouteIsRerouted", staleRouteIsRerouted},
		{"GoneTenantIsTold", goneTenantIsTold},
		{"RepeatIsReplayed", repeatIsReplayed},
		{"RepeatInOneBatchIsReplayed", repeatInOneBatchIsReplayed},
		{"OtherBodyIsMismatched", otherBodyIsMismatched},
		{"RefusedEventLeavesNoOnce", refusedEventLeavesNoOnce},
		{"OnceOfEventsHoldsByTheBatchsClock", onceOfEventsHoldsByTheBatchsClock},
		{"EventUIDIsUniqueInItsTenant", eventUIDIsUniqueInItsTenant},
		{"FirstRefusalOfAnEventCounts", firstRefusalOfAnEventCounts},
		{"TooLargeEventSparesItsBatch", tooLargeEventSparesItsBatch},
		{"LargePayloadIsKept", largePayloadIsKept},
		{"PayloadComesBackByteForByte", payloadComesBackByteForByte},
		{"EventForNobodyIsKept", eventForNobodyIsKept},
		{"EndpointNamedTwiceIsOneDelivery", endpointNamedTwiceIsOneDelivery},
		{"EmptyBatchIsFine", emptyBatchIsFine},

		{"SuccessEndsADelivery", successEndsADelivery},
		{"FailureMakesItWait", failureMakesItWait},
		{"LastFailureExhausts", lastFailureExhausts},
		{"CancelledKeepsItsReason", cancelledKeepsItsReason},
		{"OutcomesOfOneBatchFollowEachOther", outcomesOfOneBatchFollowEachOther},
		{"OutcomeOfAnotherTryIsOnlyLogged", outcomeOfAnotherTryIsOnlyLogged},
		{"LateSuccessClosesAnOpenDelivery", lateSuccessClosesAnOpenDelivery},
		{"EndedDeliveryStaysAsItEnded", endedDeliveryStaysAsItEnded},
		{"ManualAttemptDoesNotCount", manualAttemptDoesNotCount},
		{"ManualSuccessClosesAnOpenDelivery", manualSuccessClosesAnOpenDelivery},
		{"SendComesBackAsStored", sendComesBackAsStored},
		{"SendsAreSoonestDueFirst", sendsAreSoonestDueFirst},
		{"SendNeedsAPayloadAndAnEndpoint", sendNeedsAPayloadAndAnEndpoint},
		{"RepeatedSendIsMadeOnce", repeatedSendIsMadeOnce},
		{"OpeningIsWaitingAndNotTried", openingIsWaitingAndNotTried},
		{"SendFollowsItsOwnTries", sendFollowsItsOwnTries},
		{"SendThatSucceedsClosesAnOpenDelivery", sendThatSucceedsClosesAnOpenDelivery},
		{"SendThatSucceedsRecoversWhatHadEnded", sendThatSucceedsRecoversWhatHadEnded},
		{"SendWithoutADeliveryLeavesNone", sendWithoutADeliveryLeavesNone},
		{"CancelEndsWhatIsOpen", cancelEndsWhatIsOpen},
		{"FailingIsKeptWithTheOutcome", failingIsKeptWithTheOutcome},
		{"ChangedEndpointFailsNoMore", changedEndpointFailsNoMore},
		{"FailingEndpointsPage", failingEndpointsPage},
		{"OutcomesAndAcceptsShareABatch", outcomesAndAcceptsShareABatch},

		{"DeferredEventIsStoredWholeAndWaits", deferredEventIsStoredWholeAndWaits},
		{"DueIsSoonestFirst", dueIsSoonestFirst},
		{"PromotedEventWaitsAtItsEndpoints", promotedEventWaitsAtItsEndpoints},
		{"PromotionLeavesADeliveryThatIsThere", promotionLeavesADeliveryThatIsThere},
		{"EachPromotionHasItsVerdict", eachPromotionHasItsVerdict},
		{"CancelledEventNeverComesDue", cancelledEventNeverComesDue},
		{"DeferredEventsCountAsOpen", deferredEventsCountAsOpen},
		{"OnlyARepeatMayComeLate", onlyARepeatMayComeLate},
		{"AnnouncementComesBackAsStored", announcementComesBackAsStored},
		{"OutboxPages", outboxPages},
		{"AnnouncementIsStoredWithItsChange", announcementIsStoredWithItsChange},
		{"AnnouncementIsAboutItsOutcome", announcementIsAboutItsOutcome},
		{"OutcomeThatChangesNothingAnnouncesNothing", outcomeThatChangesNothingAnnouncesNothing},
		{"FailingIsAnnouncedWhereItIsKept", failingIsAnnouncedWhereItIsKept},
		{"AnnouncedEventIsAcceptedOnce", announcedEventIsAcceptedOnce},
		{"AnnouncedUnderAOnceIsAcceptedOnce", announcedUnderAOnceIsAcceptedOnce},
		{"DeletingFromTheOutboxIsAnnounced", deletingFromTheOutboxIsAnnounced},

		{"LanesListWhoHasOpenDeliveries", lanesListWhoHasOpenDeliveries},
		{"LanesPage", lanesPage},
		{"OpenDeliveriesAreCountedByTenant", openDeliveriesAreCountedByTenant},
		{"FreshPagesSeeEveryOpenDelivery", freshPagesSeeEveryOpenDelivery},
		{"FreshExaminesNoMoreThanAsked", freshExaminesNoMoreThanAsked},
		{"WaitingIsSoonestDueFirst", waitingIsSoonestDueFirst},
		{"PayloadsComeInTheOrderOfKeys", payloadsComeInTheOrderOfKeys},

		{"EventIsItsTenantsOnly", eventIsItsTenantsOnly},
		{"EventsPageBothWays", eventsPageBothWays},
		{"EventFiltersNarrow", eventFiltersNarrow},
		{"EventsBringPayloadsWhenAsked", eventsBringPayloadsWhenAsked},
		{"PageOfLargePayloadsIsShort", pageOfLargePayloadsIsShort},
		{"FilteredListsAdvance", filteredListsAdvance},
		{"ListsByTimeExamineThatTimeOnly", listsByTimeExamineThatTimeOnly},
		{"AttemptComesBackAsLogged", attemptComesBackAsLogged},
		{"AttemptIsItsEventsOnly", attemptIsItsEventsOnly},
		{"AttemptsPageBothWays", attemptsPageBothWays},
		{"AttemptFiltersNarrow", attemptFiltersNarrow},
		{"AttemptsBringResponsesWhenAsked", attemptsBringResponsesWhenAsked},
		{"HistoryOutlivesItsEndpoint", historyOutlivesItsEndpoint},
		{"DeliveriesOfEventTellWhereItStandsEverywhere", deliveriesOfEventTellWhereItStandsEverywhere},
		{"DeliveryTellsWhereItStands", deliveryTellsWhereItStands},

		{"DeliveriesAtAnEndpointPageBothWays", deliveriesAtAnEndpointPageBothWays},
		{"DeliveryAtAnEndpointComesWithItsEventAndLatestAttempt", deliveryAtAnEndpointComesWithItsEventAndLatestAttempt},
		{"DeliveryFiltersNarrow", deliveryFiltersNarrow},
		{"RecoveredDeliveryIsListedAsSucceeded", recoveredDeliveryIsListedAsSucceeded},
		{"FilteredDeliveriesAreExaminedByStateAndTime", filteredDeliveriesAreExaminedByStateAndTime},
		{"UntriedEventsAreThoseThatCouldBeSent", untriedEventsAreThoseThatCouldBeSent},
		{"SumsCountWhatIsStored", sumsCountWhatIsStored},
		{"SumsTellWhenItWas", sumsTellWhenItWas},
		{"SumsTellTypesApart", sumsTellTypesApart},
		{"FirstTypesAreCountedApart", firstTypesAreCountedApart},
		{"OnlyWhatIsStoredIsCounted", onlyWhatIsStoredIsCounted},
		{"EveryDoorIsCounted", everyDoorIsCounted},
		{"UpkeepChangesNoSum", upkeepChangesNoSum},
		{"LateAttemptCountsWhereItBelongs", lateAttemptCountsWhereItBelongs},
		{"RollupsGoAfterTheirTime", rollupsGoAfterTheirTime},
		{"SweptIsCountedStill", sweptIsCountedStill},
		{"ExpungedIsNotCounted", expungedIsNotCounted},
		{"RecountCanBeCutShort", recountCanBeCutShort},

		{"JobComesBackAsStored", jobComesBackAsStored},
		{"JobIsItsOrganisationsOnly", jobIsItsOrganisationsOnly},
		{"JobNeedsItsTenantAndEndpoint", jobNeedsItsTenantAndEndpoint},
		{"RepeatedJobIsInsertedOnce", repeatedJobIsInsertedOnce},
		{"StepIsStoredWithWhatItMakes", stepIsStoredWithWhatItMakes},
		{"StaleStepChangesNothing", staleStepChangesNothing},
		{"CancelledJobHasEnded", cancelledJobHasEnded},
		{"JobCountsWhatBecameOfWhatItMade", jobCountsWhatBecameOfWhatItMade},
		{"JobsPageBothWays", jobsPageBothWays},
		{"EndedJobsGo", endedJobsGo},
		{"OldestEndedJobsGoForNewOnes", oldestEndedJobsGoForNewOnes},
		{"JobOfNoTenantIsItsOrganisations", jobOfNoTenantIsItsOrganisations},

		{"RecordsAreNotShared", recordsAreNotShared},
		{"EverythingGoesInItsTime", everythingGoesInItsTime},
		{"SweepTellsWhenToComeAgain", sweepTellsWhenToComeAgain},
		{"TenantsOwnTimesCount", tenantsOwnTimesCount},
		{"PayloadsOwnTimeCounts", payloadsOwnTimeCounts},
		{"ChangedTimesCountForWhatIsStored", changedTimesCountForWhatIsStored},
		{"UnfinishedIsKeptAndComesAgain", unfinishedIsKeptAndComesAgain},
		{"PromotedIsKeptUntilItIsDelivered", promotedIsKeptUntilItIsDelivered},
		{"LateAttemptHasItsOwnTime", lateAttemptHasItsOwnTime},
		{"SweptEventIsNowhere", sweptEventIsNowhere},
		{"OutcomeOfAGoneEventStoresNothing", outcomeOfAGoneEventStoresNothing},
		{"SweepWorksInParts", sweepWorksInParts},
		{"WrongClockDelaysNoOther", wrongClockDelaysNoOther},
		{"DeletedTenantGoesWhenNothingRefersToIt", deletedTenantGoesWhenNothingRefersToIt},
		{"ExpungedPayloadIsGone", expungedPayloadIsGone},
		{"ExpungedDeferredEventIsCancelled", expungedDeferredEventIsCancelled},
		{"ExpungedResponseIsGone", expungedResponseIsGone},
		{"ExpungedEventIsNowhere", expungedEventIsNowhere},
		{"ExpungedPayloadsAreGone", expungedPayloadsAreGone},
		{"SameExpungeIsOne", sameExpungeIsOne},
		{"JobCountsWhatItsExpungeDeletes", jobCountsWhatItsExpungeDeletes},
		{"ExpungedTenantIsNowhere", expungedTenantIsNowhere},
		{"DeletedTenantIsExpunged", deletedTenantIsExpunged},

		{"EndedContextChangesNothing", endedContextChangesNothing},
		{"ClosedStoreSaysSo", closedStoreSaysSo},

		{"OneOfManyRepeatsIsAccepted", oneOfManyRepeatsIsAccepted},
		{"OneOfManyHasTheUID", oneOfManyHasTheUID},
		{"EventIsPromotedOrCancelled", eventIsPromotedOrCancelled},
		{"LaterEventHasTheHigherKey", laterEventHasTheHigherKey},
		{"ChangeCountsForCommitsThatBeginAfterIt", changeCountsForCommitsThatBeginAfterIt},
		{"RoutesAreOneReading", routesAreOneReading},
		{"ReaderSeesAnEventWithItsDeliveries", readerSeesAnEventWithItsDeliveries},
		{"DeliveryIsAlwaysSomewhere", deliveryIsAlwaysSomewhere},
		{"DeliveryIsOnOnePageThoughItEnds", deliveryIsOnOnePageThoughItEnds},
		{"SumsSeeAllThatWasStored", sumsSeeAllThatWasStored},
		{"JobIsForWhatWasAcknowledgedBefore", jobIsForWhatWasAcknowledgedBefore},
		{"CloseWaitsForWhatIsUnderWay", closeWaitsForWhatIsUnderWay},
	} {
		t.Run(c.promise, func(t *testing.T) { c.holds(newWorld(t, open(t))) })
	}
}

// RunDurable holds a store to what it promises over a restart. openAt opens what is
// stored in folder, which is empty at first; the test closes it.
func RunDurable(t *testing.T, openAt func(t *testing.T, folder string) store.Store) {
	for _, c := range []struct {
		promise string
		holds   func(*world, func() *world)
	}{
		{"EverythingSurvivesReopen", everythingSurvivesReopen},
		{"ReplayedAcrossReopen", replayedAcrossReopen},
		{"KeysAscendAcrossReopen", keysAscendAcrossReopen},
		{"RoutesVersionCountsAcrossReopen", routesVersionCountsAcrossReopen},
		{"BacklogSurvivesReopen", backlogSurvivesReopen},
		{"JobSurvivesReopen", jobSurvivesReopen},
		{"SweepGoesOnAcrossReopen", sweepGoesOnAcrossReopen},
		{"ExpungeGoesOnAcrossReopen", expungeGoesOnAcrossReopen},
		{"SendsSurviveReopen", sendsSurviveReopen},
		{"DeferredAndOutboxSurviveReopen", deferredAndOutboxSurviveReopen},
	} {
		t.Run(c.promise, func(t *testing.T) {
			folder := t.TempDir()
			current := openAt(t, folder)
			reopen := func() *world {
				if err := current.Close(); err != nil {
					t.Fatalf("Close: %v", err)
				}
				current = openAt(t, folder)
				return newWorld(t, current)
			}
			c.holds(newWorld(t, current), reopen)
			if err := current.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
		})
	}
}
