// Package e2e runs both programs as their users would, from an ALSA card to the web page, and breaks what lies between.
// Its tests have the build tags e2e (`make e2e`) and qemu (`make test-arm64`), since they need what `make deps`
// installs.
package e2e
