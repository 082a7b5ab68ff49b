package main

// threats are what somebody may try who means harm, in the order of docs/security.md.
var threats = []fault{
	{"a stranger at the listener", "TLS 1.3 only; nothing is answered before a ticket was proven; the port is open only while a runner is expected or there", []string{"internal/dialback TestT01_WhoeverProvesNothingIsHungUpOn", "internal/dialback TestT01_WhoeverProvesNothingAfterTheHandshakeIsHungUpOn", "internal/dialback TestT01_ThePortIsOpenOnlyWhileARunnerIsExpectedOrThere"}},
	{"a stranger sends calls to a runner", "a runner opens no port", []string{". TestT02_ARunnerListensNowhere"}},
	{"an impostor in the parent's place", "its key's hash is in the invite", []string{"internal/dialback TestT03_ARunnerTellsAnImpostorNothing"}},
	{"a token is replayed, passed on, or used twice", "good once, for one runner, pool and build, on one connection, until the boot's end", []string{"internal/dialback TestT04_ATicketLetsOneRunnerInAndOnlyOnce", "internal/dialback TestT04_ATicketExpiresWithTheBoot", "internal/dialback TestT04_AProofIsWorthNothingOnAnotherConnection"}},
	{"the invite leaks", "no private key in it, dead after its first use, not printed, out of the environment at once", []string{"internal/dialback TestT05_ATicketDoesNotPrintItsSecret", "backend TestT05_ASpecDoesNotPrintItsEnvironment", ". TestB12_NoSecretIsInAnErrorALogOrAnEvent"}},
	{"somebody on the path", "no plaintext; the socket of a local runner is inherited, not found", []string{". TestT06_NothingCrossesInPlainText"}},
	{"a confused child", "Open before ServeIfRunner is an error; pools on runners have no Min", []string{". TestProgramsThatNeverServe", ". TestF10_PoolInsideARunner"}},
	{"a runner that was taken over attacks its parent", "results of live calls only; decoding bounded, and safe for any bytes", []string{"internal/codec TestAttacks_meetTheirRefusal", "internal/codec TestHostileBytes_neverHurt", "internal/lend TestF13_ARunnerThatDoesNotKeepToTheRulesIsAnError", ". TestF13_ARunnerThatHoldsWhatItMayNotHarmsOnlyItself"}},
	{"bombs", "lengths are checked before anything is allocated", []string{"internal/wire TestHeadsRoundTripAndAreChecked", "internal/codec TestAttacks_takeNoMoreMemoryThanTheirLengthPaysFor", ". TestN18_MessageLimit"}},
	{"floods, and those who take their time", "5 s for a handshake, a bounded number of them", []string{"internal/dialback TestT10_AFloodOfStrangersDoesNotKeepARunnerOut"}},
	{"credentials of the cloud", "least rights; an allow-list for what leaves the machine", []string{"backend TestT11_OnlyWhatIsNamedGoesAlong", "backend/kubernetes TestF15_TheSuiteIsPassedInAPodWithTheLeastRights"}},
	{"orphans that cost money", "runners leave without their parent; engines end them; what a dead parent left is reaped", []string{"backend/docker TestB11_ContainersGoWhenTheirParentIsKilled", "backend/kubernetes TestB11_PodsGoWhenTheirParentIsKilled", "backend/kubernetes TestT12_KubernetesEndsAPodWhoseLifetimeIsOver"}},
	{"the live page", "it comes later", nil},
	{"another binary", "refused at the handshake; images by digest", []string{". TestF17_OtherProgramsAreRefused", "backend/kubernetes TestT14_TheImageIsNamedByItsDigest"}},
	{"secrets in logs and errors", "arguments are never logged, environments never printed", []string{". TestB12_NoSecretIsInAnErrorALogOrAnEvent", "backend/fly TestB12_WhatTheAPIRefusesIsToldWithoutTheToken"}},
	{"FLAME_PARENT for a program with raised rights", "ignored", []string{"e2e/places TestT16_RaisedRightsIgnoreTheInvite"}},
}
