# How rules/*.yaml become part of the binary: rulec writes C with re2c blocks, re2c writes C, and every
# example is run against the result before anything that depends on it counts as built.
RULEC_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter dlp/rulec_%.c dlp/validate%.c,$(CSRC)))
RULEC_OBJ := $(filter-out $(BUILD)/dlp/rulec_build.o,$(RULEC_OBJ))

$(BUILD)/dlp/rulec_emit.o: dlp/bundle_abi.h dlp/bundle_run.h

$(BUILD)/rulec: $(BUILD)/dlp/rulec_tool.o $(RULEC_OBJ) $(BUILD)/lib/base.a
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The folder is a prerequisite too: a rule file that goes away must change the rules.
$(BUILD)/gen/dlp/builtin.re: $(BUILD)/rulec $(RULES) $(wildcard rules rules/*/)
	@mkdir -p $(@D) && echo "RULEC $@"
	@$(BUILD)/rulec dlp_builtin_bundle $@ rules

# Every build says the same here, so it is compiled once for all of them. A text that did not change leaves what was made of it.
$(BUILTIN)/builtin.re: $(BUILD)/gen/dlp/builtin.re
	@mkdir -p $(@D)
	@cmp -s $< $@ || cp $< $@

$(BUILTIN)/builtin.c: $(BUILTIN)/builtin.re
	@echo "RE2C  $<"
	@$(RE2C) -W -Wno-match-empty-string -Werror --no-debug-info --no-generation-date -o $@ $<

# Matchers see few bytes and there are many of them: compile time counts more than the last percent. Sanitizers would take
# minutes over them; the fuzz targets have them with ASan, and the interpreter, which every sanitizer sees, must agree with them.
# Over misleading indentation GCC thinks for a minute: it counts the columns of a million lines.
BUILTIN_CFLAGS := -std=c11 -O1 -g0 $(HARD) -fPIE -fvisibility=hidden -fno-omit-frame-pointer -fno-common \
                  $(WARN) -Wno-misleading-indentation -Wno-unused-variable -Wno-unused-label -Wno-cast-qual

$(BUILTIN)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(BUILTIN_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(BUILTIN_CFLAGS)' > $@

$(BUILTIN_OBJ): $(BUILTIN)/builtin.c $(BUILTIN)/flags
	@echo "CC    $<"
	@$(CC) $(BUILTIN_CFLAGS) -c -o $@ $<

$(BUILD)/rulec-selftest: $(BUILD)/dlp/rulec_selftest.o $(BUILD)/lib/dlp.a $(BUILD)/lib/base.a
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)

$(BUILD)/rules.ok: $(BUILD)/rulec-selftest
	@$(BUILD)/rulec-selftest && touch $@

all: $(BUILD)/rules.ok
$(BUILD)/sluice: | $(BUILD)/rules.ok
