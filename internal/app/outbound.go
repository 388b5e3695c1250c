package app

import (
	"crypto/x509"
	"fmt"
	"os"

	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/hook"
	"github.com/parley-chat/parley/internal/outbound"
	"github.com/parley-chat/parley/internal/token"
)

// openOutbound makes what all requests go through that lead where users say.
func (a *App) openOutbound(c config.Config) (err error) {
	o := outbound.Config{PlainHTTP: c.AllowOutboundHTTP()}
	for _, text := range c.OutboundAllow {
		network, err := config.ParseNetwork(text)
		if err != nil {
			return err
		}
		o.Allow = append(o.Allow, network)
	}
	for _, text := range c.OutboundPorts {
		port, err := config.ParsePort(text)
		if err != nil {
			return err
		}
		o.Ports = append(o.Ports, port)
	}
	if c.OutboundCA != "" {
		pem, err := os.ReadFile(c.OutboundCA)
		if err != nil {
			return fmt.Errorf("PARLEY_OUTBOUND_CA: %w", err)
		}
		if o.RootCAs = x509.NewCertPool(); !o.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("PARLEY_OUTBOUND_CA: there is no certificate in %s", c.OutboundCA)
		}
	}
	if a.outbound, err = outbound.New(o); err == nil {
		a.stop = append(a.stop, a.outbound.Close)
	}
	return err
}

func (a *App) openHooks(secret []byte) (*hook.Service, error) {
	key, err := token.Derive(secret, "parley webhook secrets v1")
	return hook.New(a.store, a.jobs, a.outbound, hook.Config{Key: key, Log: a.log}), err
}
