package httpadapter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/webhook"
)

// errNotHTTP2 is a receiver that does not offer what the endpoint asks for.
var errNotHTTP2 = errors.New("the receiver does not offer HTTP/2")

// invalid is the fault of a request that can't be made.
func invalid(err error) *webhook.Fault {
	return &webhook.Fault{
		Kind: webhook.FaultClient, Code: webhook.FaultInvalidRequest, Phase: webhook.PhasePrepare,
		Message: err.Error(), Cause: err,
	}
}

// fault says why an exchange failed. parent is the caller's context, ctx the exchange's.
func (x *exchange) fault(parent context.Context, err error) *webhook.Fault {
	fault := &webhook.Fault{Kind: webhook.FaultClient, Phase: x.phase(), Cause: err}
	var refused invalidError
	switch {
	case errors.As(err, &refused):
		return invalid(refused.error)
	case x.adapter.pool.isClosed() || errors.Is(err, errClosed):
		fault.Code, fault.Message = webhook.FaultClosed, "the adapter was closed"
	case parent.Err() != nil:
		fault.Code, fault.Message = webhook.FaultCancelled, "the caller ended the attempt: "+parent.Err().Error()
		if errors.Is(parent.Err(), context.DeadlineExceeded) {
			fault.Kind = webhook.FaultTimeout
		}
	case errors.Is(err, errBodyTooLarge):
		fault.Code = webhook.FaultBodyTooLarge
		fault.Message = fmt.Sprintf("the answer has more than %d bytes", x.adapter.opts.MaxResponseBytes)
	default:
		x.classify(fault, err)
	}
	return fault
}

func (x *exchange) classify(fault *webhook.Fault, err error) {
	if code, message := byType(err, fault.Phase); code != "" {
		fault.Code, fault.Message = code, message
		if (code == webhook.FaultDNS || code == webhook.FaultProxy) && isTimeout(err) {
			fault.Kind = webhook.FaultTimeout
		}
		return
	}
	if isTimeout(err) {
		fault.Kind = webhook.FaultTimeout
		fault.Code, fault.Message = x.timeout(fault.Phase)
		return
	}
	if code, message := http2Fault(err); code != "" {
		fault.Code, fault.Message = code, message
		return
	}
	if fault.Phase == webhook.PhaseTLS {
		fault.Code, fault.Message = webhook.FaultTLS, "the TLS handshake failed: "+err.Error()
		return
	}
	fault.Code, fault.Message = webhook.FaultOther, "the attempt failed"
	var number syscall.Errno // says nothing of addresses
	if errors.As(err, &number) {
		fault.Message += ": " + number.Error()
	}
}

func (x *exchange) timeout(phase webhook.Phase) (webhook.FaultCode, string) {
	total, connect := round(x.timeoutAfter), round(x.connectTimeout)
	switch phase {
	case webhook.PhaseWait:
		return webhook.FaultPoolExhausted, fmt.Sprintf("no connection became free in %v", total)
	case webhook.PhaseDNS:
		return webhook.FaultDNS, fmt.Sprintf("the host was not found in %v", connect)
	case webhook.PhaseConnect:
		return webhook.FaultConnectTimeout, fmt.Sprintf("no connection in %v", connect)
	case webhook.PhaseTLS:
		return webhook.FaultConnectTimeout, fmt.Sprintf("the TLS handshake did not end in %v", connect)
	case webhook.PhaseRequest:
		return webhook.FaultRequestTimeout, fmt.Sprintf("the receiver did not take the request in %v", total)
	case webhook.PhaseBody:
		return webhook.FaultBodyTooSlow, fmt.Sprintf("the answer did not end in %v", total)
	}
	return webhook.FaultResponseTimeout, fmt.Sprintf("no answer in %v", total)
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// byType names what can be told by an error's type or value; "" for none of those.
func byType(err error, phase webhook.Phase) (webhook.FaultCode, string) {
	var (
		blocked   *egress.BlockedError
		proxy     *egress.ProxyError
		dns       *net.DNSError
		remote    *net.OpError
		record    tls.RecordHeaderError
		invalidC  x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		certs     *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &blocked):
		return webhook.FaultBlockedAddress, blockedMessage(blocked)
	case errors.As(err, &proxy):
		return webhook.FaultProxy, proxyMessage(proxy)
	case errors.As(err, &dns):
		return webhook.FaultDNS, dnsMessage(dns)
	case errors.As(err, &invalidC) && invalidC.Reason == x509.Expired:
		return webhook.FaultTLSExpired, "the receiver's certificate is out of its time: " + invalidC.Error()
	case errors.As(err, &authority):
		return webhook.FaultTLSUnknownAuthority, "the receiver's certificate is not signed by a trusted authority"
	case errors.As(err, &hostname):
		return webhook.FaultTLSHostname, "the receiver's certificate is of another host: " + hostname.Error()
	case errors.As(err, &certs):
		return webhook.FaultTLS, "the receiver's certificate was not accepted: " + certs.Error()
	case errors.As(err, &record):
		return webhook.FaultTLSNotSpoken, "what answered does not speak TLS"
	case strings.Contains(err.Error(), "tls: server selected unsupported protocol version"): // text alone
		return webhook.FaultTLSVersion, "the receiver offers only versions of TLS before 1.2"
	case errors.As(err, &remote) && remote.Op == "remote error": // a TLS alert; its type is not exported
		return alertCode(remote.Err), "the receiver refused the TLS connection: " + remote.Err.Error()
	case errors.Is(err, errNotHTTP2):
		return webhook.FaultMalformedResponse, err.Error()
	case errors.Is(err, errHeadersTooLarge):
		return webhook.FaultHeadersTooLarge, err.Error()
	case errors.Is(err, errCompression), errors.Is(err, errMalformed), errors.Is(err, errTooInformational):
		return webhook.FaultMalformedResponse, err.Error()
	case isAny(err, refusedErrors):
		return webhook.FaultRefused, "the connection was refused"
	case isAny(err, unreachableErrors):
		return webhook.FaultUnreachable, "there is no way to the receiver"
	case isAny(err, resetErrors), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed):
		if phase == webhook.PhaseTLS {
			return webhook.FaultTLS, "the receiver closed the connection in the TLS handshake"
		}
		return webhook.FaultReset, "the receiver closed the connection before the answer's end"
	}
	return "", ""
}

func isAny(err error, numbers []syscall.Errno) bool {
	for _, number := range numbers {
		if errors.Is(err, number) {
			return true
		}
	}
	return false
}

// Messages are shown to whoever owns the endpoint, who may be a stranger to our network:
// they tell neither which address a name has here, nor of the resolver and the proxy. The
// Cause has all of it.

func blockedMessage(blocked *egress.BlockedError) string {
	if _, err := netip.ParseAddr(blocked.Host); blocked.IP.IsValid() && err != nil {
		// The same for every rule, as the rule would tell of the address.
		return fmt.Sprintf("the address of %q is blocked by the egress policy: it must be public, or in the egress allow list (Allow)", blocked.Host)
	}
	return blocked.Error()
}

func proxyMessage(proxy *egress.ProxyError) string {
	if proxy.StatusCode != 0 {
		return fmt.Sprintf("the proxy did not open the connection: it answered %d", proxy.StatusCode)
	}
	return "the proxy did not open the connection"
}

func dnsMessage(dns *net.DNSError) string {
	switch {
	case dns.IsNotFound:
		return fmt.Sprintf("the host %q was not found", dns.Name)
	case dns.IsTimeout:
		return fmt.Sprintf("the look-up of the host %q got no answer in time", dns.Name)
	}
	return fmt.Sprintf("the look-up of the host %q failed", dns.Name)
}

// alertCode tells by the text of RFC 8446's protocol_version; crypto/tls exports no more.
func alertCode(alert error) webhook.FaultCode {
	if strings.Contains(alert.Error(), "protocol version") {
		return webhook.FaultTLSVersion
	}
	return webhook.FaultTLSRefused
}
