# How rules/*.yaml become part of the binary: rulec writes C with re2c blocks, re2c writes C, and every
# example is run against the result before anything that depends on it counts as built.
RULEC_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter dlp/rulec_%.c dlp/validate%.c,$(CSRC)))
RULEC_OBJ := $(filter-out $(BUILD)/dlp/rulec_build.o,$(RULEC_OBJ))
BUILTIN_OBJ := $(BUILD)/gen/dlp/builtin.o

$(BUILD)/dlp/rulec_emit.o: dlp/bundle_abi.h dlp/bundle_run.h

# Matchers see few bytes and there are many of them: compile time counts more than the last percent. Sanitizers would take
# minutes over them; the fuzz targets have them with ASan, and the interpreter, which every sanitizer sees, must agree with them.
$(BUILTIN_OBJ): private CFLAGS += -O1 -g0 $(if $(SAN),-fno-sanitize=all)

$(BUILD)/rulec: $(BUILD)/dlp/rulec_tool.o $(RULEC_OBJ) $(BUILD)/lib/base.a
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The folder is a prerequisite too: a rule file that goes away must change the rules.
$(BUILD)/gen/dlp/builtin.re: $(BUILD)/rulec $(RULES) $(wildcard rules rules/*/)
	@mkdir -p $(@D) && echo "RULEC $@"
	@$(BUILD)/rulec dlp_builtin_bundle $@ rules

$(BUILD)/gen/dlp/builtin.c: $(BUILD)/gen/dlp/builtin.re
	@echo "RE2C  $<"
	@$(RE2C) -W -Wno-match-empty-string -Werror --no-debug-info --no-generation-date -o $@ $<

$(BUILD)/rulec-selftest: $(BUILD)/dlp/rulec_selftest.o $(BUILD)/lib/dlp.a $(BUILD)/lib/base.a
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)

$(BUILD)/rules.ok: $(BUILD)/rulec-selftest
	@$(BUILD)/rulec-selftest && touch $@

all: $(BUILD)/rules.ok
$(BUILD)/sluice: | $(BUILD)/rules.ok
