# The lab's targets, included by the Makefile at the top. LAB_ACCEL=tcg|kvm
# overrides how the box runs; NAME=other means another box than oldpc.

LAB := bin/lab
LAB_NAME = $(if $(NAME),--name $(NAME))

.PHONY: bin/lab
bin/lab:
	cd lab && go build -trimpath -o ../$(LAB) ./cmd/lab

.PHONY: lab-build
lab-build: bin/lab ## build what the lab lacks: its releases and the box's disk
	$(LAB) build

.PHONY: lab
lab: bin/lab ## the emulated Core 2 Duo: build what is missing, start, wait for SSH
	$(LAB) up $(LAB_NAME)

.PHONY: lab-reset
lab-reset: bin/lab ## a fresh disk in about a second, then the boot
	$(LAB) reset $(LAB_NAME)

.PHONY: lab-down
lab-down: bin/lab ## shut the box down; its disk stays
	$(LAB) down $(LAB_NAME)

.PHONY: lab-ssh
lab-ssh: bin/lab ## a shell on the box
	$(LAB) ssh $(LAB_NAME)

.PHONY: lab-link
lab-link: bin/lab ## turn the link's knobs: make lab-link DO='rate 2mbit'
	$(LAB) link $(or $(DO),stats) $(LAB_NAME)
