"""Templates and conversations of the golden cases. All of them are our own: they use what the templates of the families use, in the same
ways, and look like none of them."""

TOOL = {"type": "function", "function": {
    "name": "find_train", "description": "Trains between \"two\" <places>, §1",
    "parameters": {"type": "object", "required": ["from"], "properties": {
        "from": {"type": "string", "description": "where it leaves"},
        "days": {"type": "array", "items": {"type": "integer"}},
        "class": {"type": "string", "enum": ["1", "2"], "default": "2", "nullable": True},
        "price": {"type": "object", "required": ["max"], "properties": {"max": {"type": "number", "maximum": 99.5}}},
        "any": {"type": ["string", "null"]}}}}}
CALL = {"id": "c1", "type": "function", "function": {
    "name": "find_train", "arguments": {"from": "Köln", "days": [1, 2], "price": {"max": 1e2}, "any": None, "direct": True}}}
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": " Hi <x> é 😀\n"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image", "url": "x"}, {"type": "text", "text": "two"}]}
THOUGHT = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes"}
CALLING = {"role": "assistant", "content": None, "reasoning_content": "trains", "tool_calls": [CALL, CALL]}
RESULT = {"role": "tool", "name": "find_train", "tool_call_id": "c1", "content": "{\"at\": \"9:00\"}"}

CONVERSATIONS = {
    "one": [USER],
    "system": [SYSTEM, USER, THOUGHT, {"role": "user", "content": "Bye"}],
    "parts": [SYSTEM, PARTS],
    "calls": [SYSTEM, USER, CALLING, RESULT, {"role": "assistant", "content": "At nine."}, {"role": "user", "content": "ok"}],
    "odd": [USER, USER],
}

FAMILIES = {
    # turns with tags; thoughts of earlier turns left out; tools and calls as JSON
    "tagged": """
{%- macro text_of(content) -%}
    {%- if content is string -%}{{- content | trim -}}
    {%- elif content is iterable and content is not mapping -%}
        {%- for part in content if part.type == 'text' -%}{{- part['text'] -}}{%- if not loop.last %} + {% endif -%}{%- endfor -%}
    {%- endif -%}
{%- endmacro %}
{%- set ns = namespace(last=-1, system='') %}
{%- if messages[0].role == 'system' %}{% set ns.system = messages[0].content %}{% endif %}
{%- for m in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if ns.last == -1 and m.role == 'user' and m.content is string %}{% set ns.last = index %}{% endif %}
{%- endfor %}
{%- if tools or ns.system %}
    {{- '<|turn|>system\\n' ~ ns.system }}
    {%- if tools %}
        {{- '\\n# Tools\\n<tools>' }}
        {%- for tool in tools %}{{ '\\n' }}{{ tool | tojson }}{% endfor %}
        {{- '\\n</tools>' }}
    {%- endif %}
    {{- '<|end|>\\n' }}
{%- endif %}
{%- for m in messages[(1 if ns.system else 0):] %}
    {%- set said = text_of(m.content) %}
    {%- if m.role == 'assistant' %}
        {%- set thought = m.reasoning_content or '' %}
        {%- if '</think>' in said %}
            {%- set thought = said.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set said = said.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|turn|>assistant\\n' }}
        {%- if thought and loop.index0 >= ns.last %}<think>{{ thought.strip('\\n') }}</think>{% endif %}
        {{- said }}
        {%- for call in m.tool_calls or [] %}
            {%- set f = call.function if call.function else call %}
            {{- '\\n<call>' ~ {'name': f.name, 'arguments': f.arguments} | tojson ~ '</call>' }}
        {%- endfor %}
        {{- '<|end|>\\n' }}
    {%- elif m.role == 'tool' %}
        {%- if loop.first or loop.previtem.role != 'tool' %}{{ '<|turn|>tools' }}{% endif %}
        {{- '\\n<result>\\n' + said + '\\n</result>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{ '<|end|>\\n' }}{% endif %}
    {%- else %}
        {{- '<|turn|>' + m.role + '\\n' + said + '<|end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|turn|>assistant\\n' }}{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}
""",
    # a header with a date, tools with an indent, one call a message, refusals
    "dated": """{{- bos_token }}
{%- if custom_tools is defined %}{%- set tools = custom_tools %}{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "1 Jan 2024" %}{%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "[head]system[/head]\\n\\n" }}
{{- "Today: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system ~ "[eot]" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '[head]' + message['role'] + '[/head]\\n\\n' }}{{ message['content'] | trim }}{{ '[eot]' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls | length == 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
        {{- '{"name": "' + message.tool_calls[0].function.name + '", "parameters": ' }}{{ message.tool_calls[0].function.arguments | tojson }}}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[head]assistant[/head]\\n\\n' }}{% endif %}
""",
    # strict turns: user and assistant, tools before the last user message, ids checked
    "strict": """{{ bos_token }}{%- if messages[0]["role"] == "system" %}{%- set system_message = messages[0]["content"] %}{%- set loop_messages = messages[1:] %}
{%- else %}{%- set loop_messages = messages %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("turns must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}{{- '"' + key + '": "' + val + '"' }}{%- else %}{{- '"' + key + '": ' + val | tojson }}{%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " ~ message["content"] ~ "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function | tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id | length != 2 %}{{- raise_exception("bad id") }}{%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] | trim + eos_token }}
    {%- elif message["role"] in ["tool", "tool_results"] %}
        {{- '[RESULT] {"content": ' + message.content | string + ', "id": "' + message.tool_call_id + '"}[/RESULT]' }}
    {%- endif %}
{%- endfor %}""",
    # a schema as a type of TypeScript, by macros that call each other
    "typed": """{#- types -#}
{%- macro type_of(spec, required=[], is_nullable=false) -%}
    {%- if spec.type == "array" -%}
        {%- if spec['items'] -%}
            {%- if spec['items']['type'] == "string" -%}{{- "string[]" }}
            {%- elif spec['items']['type'] in ["number", "integer"] -%}{{- "number[]" }}
            {%- else -%}{{- type_of(spec['items']) + "[]" }}{%- endif -%}
        {%- else -%}{{- "any[]" }}{%- endif -%}
        {%- if spec.nullable or is_nullable %}{{- " | null" }}{%- endif -%}
    {%- elif spec.type is defined and spec.type is iterable and spec.type is not string and spec.type is not mapping and spec.type[0] is defined -%}
        {{- spec.type | join(" | ") }}
    {%- elif spec.oneOf -%}
        {%- for variant in spec.oneOf -%}{{- type_of(variant) -}}{%- if not loop.last %}{{- " | " }}{% endif -%}{%- endfor -%}
    {%- elif spec.type == "string" -%}
        {%- if spec.enum -%}{{- '"' + spec.enum | join('" | "') + '"' -}}{%- else -%}string{%- endif -%}
        {%- if spec.nullable %} | null{% endif -%}
    {%- elif spec.type in ["number", "integer"] -%}number
    {%- elif spec.type == "object" and spec.properties -%}
        {{- "{\\n" -}}
        {%- for name, inner in spec.properties.items() -%}
            {{- name -}}{%- if name not in (spec.required or []) -%}?{%- endif -%}{{- ": " }}{{ type_of(inner, spec.required or []) }}
            {%- if inner.default is defined %}{{ "  // default: " ~ inner.default }}{% endif %}
            {%- if not loop.last %}{{- ",\\n" }}{% endif %}
        {%- endfor -%}
        {{- "\\n}" -}}
    {%- else -%}any{%- endif -%}
{%- endmacro -%}
{%- macro namespace_of(name, tools) -%}
    {{- "## " + name + "\\n\\nnamespace " + name + " {\\n" }}
    {%- for tool in tools %}
        {%- set tool = tool.function %}
        {{- "// " + tool.description + "\\ntype " + tool.name + " = (_: " }}{{ type_of(tool.parameters) | indent(2) }}{{ ") => any;\\n" }}
    {%- endfor %}
    {{- "} // " + name }}
{%- endmacro -%}
{%- set has_tools = tools is defined and tools %}
<|start|>system<|message|>Day {{ strftime_now("%Y-%m-%d") }}
{%- if has_tools %}{{ "\\n\\n" + namespace_of("functions", tools) }}{% endif %}<|end|>
{%- for message in messages -%}
    {%- if message.content is not string and message.tool_calls is not defined -%}{{ raise_exception("content has to be text, not " ~ (message.content | length)) }}{%- endif -%}
    {%- if message.role == "assistant" and "tool_calls" in message %}
        {%- for call in message.tool_calls[:1] -%}
            {{- "<|start|>assistant to=functions." ~ call.function.name ~ "<|message|>" ~ (call.function.arguments | tojson) ~ "<|call|>" -}}
        {%- endfor -%}
        {%- set last = namespace(name=message.tool_calls[-1].function.name) %}
    {%- else -%}
        {{- "<|start|>" + message.role + "<|message|>" + message.content + "<|end|>" -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}
""",
    # two roles, the system's words before the first of the user's; parts of several kinds; blocks that only mark
    "gentle": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("roles must take turns") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}{%- set role = "model" -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}
    {{ '<turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}
    {%- if role == 'model' -%}{% generation %}{%- endif -%}
    {%- if role == 'model' -%}{% endgeneration %}{%- endif -%}
""".replace("    {%- if role == 'model' -%}{% generation %}{%- endif -%}\n    {%- if role == 'model' -%}{% endgeneration %}{%- endif -%}\n", """    {%- generation -%}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}{{ '<image>' }}{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- elif message.content is none -%}
        {{- message.tool_calls | map(attribute='function') | map(attribute='name') | unique | join(', ') -}}
    {%- else -%}
        {{ raise_exception("bad content") }}
    {%- endif -%}
    {%- endgeneration -%}
    {{ '</turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<turn>model\n'}}{%- endif -%}
"""),
    # calls as elements; a table of names; blocks as values
    "elements": """{%- macro element(name, value) %}<{{ name }}>{{ value }}</{{ name }}>{% endmacro %}
{%- macro box(title, wide=false) %}[{{ title }}{{ ' ' * 3 if wide }}|{{ caller(title | upper) }}]{% endmacro %}
{%- set heads = {'user': 'U', 'assistant': 'A', 'tool': 'T'} %}
{%- set intro %}
Known: {{ tools | map(attribute='function.name') | list if tools else [] }}
{% endset %}
{{- intro | trim | replace("'", '"') }}
{% for message in messages %}
{%- set head = heads.get(message.role, '?') ~ loop.index %}
{% call(name) box(head, wide=loop.last) %}{{ name }}:{{ loop is defined }}{% endcall %}
{% if message.tool_calls %}
{% for call in message.tool_calls %}
{%- if loop.index > 1 %}{% break %}{% endif %}
{% for key, value in call.function.arguments | dictsort %}
{{ element(key, value if value is string else value | tojson) }}
{% endfor %}
{% endfor %}
{% elif message.content is string %}
{% filter indent(2, true) %}
{{ message.content.strip().splitlines() | join('/') }}
second
{% endfilter %}
{% else %}
{{ message.content | selectattr('text', 'defined') | map(attribute='text') | join(' & ') }}
{% endif %}
{% endfor %}
{{ messages | rejectattr('role', 'in', ['system', 'user']) | list | length }} {{ messages | map(attribute='role') | sort | join(',') }} {%- raw %}{{ raw }}{% endraw %}

{% with n = messages | length, m = 2 %}{{ n // m }} {{ n / m }} {{ n % m }}{% endwith %}
""",
}

# Single constructs: (name, template). `v` is below.
VALUES = {"v": {"s": "a-b_c", "e": "", "n": 3, "x": 2.5, "t": True, "z": None, "l": [3, 1, 2], "w": ["b", "A", "c"],
                "d": {"k": "v", "items": 1, "B": 2, "a": 0}, "u": "né\tX \"q\" 'p'", "m": [{"a": 1, "b": {"c": "x"}}, {"a": 2}]}}
SMALL = """{{ v.l[::-1] }} {{ v.s[1:3] }} {{ v.s[::-2] }} {{ v.l[-1] }} {{ v.l[5] is defined }} {{ v.u[-3:] }}
{{ v.d }} {{ v.m }} {{ (1, 'x') }} {{ [v.u, v.x, v.t, v.z] }}
{{ v.d.items() | list }} {{ v['d']['items'] }} {{ v.d.get('q') }} {{ v.d.get('q', 7) }} {{ v.d.keys() | list }} {{ v.d.values() | list }}
{% if v.l['items'] %}a{% else %}b{% endif %}{% if v.m[0]['items'] %}method{% endif %}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 2 ** 5 }} {{ 1 + 2 * 3 - -1 }} {{ 10 / 5 }} {{ 1.5 + 1 }} {{ 0.1 + 0.2 }} {{ 1e20 }} {{ 1e-5 }} {{ -2 | abs }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 'a' in 'cat' }} {{ 4 not in v.l }} {{ 'k' in v.d }} {{ v.none is not defined }} {{ not v.t or v.n > 2 and v.x }}
{{ v.n ~ '|' ~ v.z ~ v.nothing ~ v.t }} {{ 'ab' * 2 }} {{ [0] * 3 }} {{ 'x' if v.e }}{{ 'y' if v.e else 'n' }}
{{ v | tojson }} {{ v.d | tojson(indent=2) }} {{ [] | tojson(indent=1) }} {{ v.u | tojson(ensure_ascii=true) }} {{ v.d | tojson(sort_keys=True) }} {{ v.l | tojson(separators=(',', ':')) }}
{{ v.d | dictsort }} {{ {'x': 2, 'y': 1} | dictsort(by='value') }} {{ v.d | dictsort(true, reverse=true) }} {{ v.w | sort }} {{ v.w | sort(case_sensitive=true) }} {{ v.l | sort(reverse=true) }}
{{ v.l | first }} {{ v.l | last }} {{ v.l | max }} {{ v.w | min }} {{ v.l | sum }} {{ v.m | sum(attribute='a') }} {{ v.m | map(attribute='b.c', default='-') | list }} {{ v.e | first is defined }}
{{ v.w | map('upper') | join('/') }} {{ ['a', 1, none] | select('string') | list }} {{ [0, 1, '', 'x'] | select | list }} {{ v.l | reject('odd') | list }} {{ v.m | map(attribute='a') | join(', ') }}
{{ v.s | upper }} {{ 'hello wORLD-x (y' | title }} {{ 'hello wORLD_x'.title() }} {{ 'hELLO x' | capitalize }} {{ ' x ' | trim }}|{{ 'xxaxx'.strip('x') }} {{ 'aXbX'.replace('X', 'yy') }} {{ 'aaa'.replace('a', 'b', 2) }}
{{ 'a,b,,c'.split(',') }} {{ ' a  b c '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a.b.c'.rsplit('.', 1) }} {{ ' a b  c '.split(none, 1) }} {{ 'a\\nb\\r\\nc\\n'.splitlines() }} {{ 'a=b=c'.partition('=') }} {{ 'ab'.rpartition('=') }}
{{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('c') }} {{ 'abc'.find('x') }} {{ 'banana'.count('an') }} {{ ','.join(v.w) }} {{ '12'.isdigit() }} {{ 'a1'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }}
{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.startswith('') }}
{{ 'a\\nb\\n\\nc' | indent }} {{ 'a\\nb' | indent(2, true) }} {{ 'a\\n\\nb' | indent('> ', blank=true) }} {{ '<a href="x">' | e }} {{ v.nothing | default('d') }} {{ v.e | default('d', true) }} {{ v.e | d('x') }}
{{ '12' | int + 1 }} {{ 'x' | int(5) }} {{ '3.7' | int }} {{ 3.9 | int }} {{ '2.5' | float }} {{ 2.567 | round(2) }} {{ 2.5 | round }} {{ 2.1 | round(0, 'ceil') }} {{ 7 | string + 'x' }}
{{ v.l is sequence }} {{ v.d is mapping }} {{ v.s is string }} {{ v.n is number }} {{ v.t is number }} {{ v.x is float }} {{ v.n is integer }} {{ v.t is integer }} {{ v.t is boolean }} {{ v.t is true }} {{ v.z is none }} {{ v.n is iterable }} {{ v.nothing is iterable }}
{{ 4 is divisibleby 2 }} {{ 3 is odd }} {{ 3 is even }} {{ 1 is eq 1 }} {{ 1 is ne(1) }} {{ 2 is gt 1 }} {{ 'a' is in ['a'] }} {{ v.s is not none }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ v.z is sameas none }}
{% for a in v.l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.cycle('x', 'y') }}{{ loop.previtem }}{{ loop.nextitem }};{% else %}none{% endfor %}
{% for a in [] %}x{% else %}none{% endfor %}{% for a in v.nothing %}x{% else %}none{% endfor %}{% for k in v.d %}{{ k }}{% endfor %}{% for c in 'né' %}<{{ c }}>{% endfor %}{% for k, w in v.d.items() %}{{ k }}={{ w }},{% endfor %}
{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %} {{ range(3) | list }} {{ range(5, 0, -2) | list }}
{% set x = 1 %}{% for i in v.l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}{% set a, b = 1, 'z' %}{{ a }}{{ b }}{% set t = 1, 2 %}{{ t }}
{% set ns = namespace(a=1) %}{% for i in v.l %}{% set ns.a = ns.a + i %}{% set ns.b %}<{{ i }}>{% endset %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}{{ ns is mapping }}
{% macro f(a, b='B', c=a) %}{{ a }}{{ b }}{{ c }}{{ varargs }}{% endmacro %}{{ f(1) }} {{ f(1, c=3) }} {{ f(b=2, a=1) }} {{ f(1, 2, 3, 4) }} {{ f() }}
{% macro g(n) %}{{ n }}{% if n > 0 %}{{ g(n - 1) }}{% endif %}{% endmacro %}{{ g(4) }}{% set late = 'L' %}{% macro h() %}{{ late }}{% set late = 'in' %}{% endmacro %}{{ h() }}{{ late }}{% set late = 'M' %}{{ h() }}
{% macro w(t) %}({{ caller() }}{{ caller is defined }}{{ t }}){% endmacro %}{% call w('T') %}body{{ v.n }}{% endcall %}{% macro nc() %}{{ caller is defined }}{% endmacro %}{{ nc() }}
{% set q | upper | trim %}  abc {{ v.n }}  {% endset %}[{{ q }}]{% filter replace('a', 'o') | upper %}banana{% endfilter %}{% with a = 5, b = a %}{{ a }}{{ b }}{% endwith %}
{{ dict(a=1, b='x') }} {{ dict(v.m[1], c=3) }} {{ {'a': 1}.a }} {{ {'a': {'b': [1, 2]}}.a.b[1] }} {{ [[1, 2], [3]][0][1] }} {{ v.m[0].b.c }} {{ v.m[1].b is defined }}
{{ v.m | selectattr('b') | list | length }} {{ v.m | selectattr('b', 'defined') | map(attribute='b') | list }} {{ v.m | rejectattr('a', 'equalto', 1) | list }} {{ [1, 1, 2, 'a', 'A'] | unique | list }} {{ v.s | list }} {{ 'abc' | reverse }} {{ v.l | reverse | list }}
{{ strftime_now('%Y-%m-%d %H:%M') }} {{ strftime_now('%d %b %Y') }} {{ strftime_now is defined }} {{ v.s | length }} {{ v.u | length }} {{ v.d | length }} {{ v.nothing | length }} {{ v.d | items | list }}
{{ 'tab\\there' }} {{ 'q\\'q' }} {{ "d\\"d" }} {{ '\\u00e9\\x41' }} {{ 'a' 'b' }} {{ 'back\\\\slash' }} {{ 1_000 if false else 5 }}
{{ v.l == [3, 1, 2] }} {{ v.m[1] == {'a': 2} }} {{ v.m[0] == v.m[1] }} {{ (1, 2) == [1, 2] }} {{ 1 == 1.0 }} {{ true == 1 }} {{ none == false }} {{ 'a' < 'b' }} {{ [3, 1, 2] != v.l }}
{{ v.nothing.x }}
{{ v.z.x is defined }} {{ v.z['x'] is defined }} {{ v.n.x }} {{ v.s.nope }}
{{ 1 + 'a' }}
{{ raise_exception('no ' ~ v.s) }}
{{ undefined_function() }}
{% for i in v.n %}{% endfor %}
{{ 'a' | nofilter }}
{{ v.l.append(4) }}
{{ 'x'.nomethod() }}
{% if v.n is nosuchtest %}{% endif %}
{{ 1 // 0 }}
{{ v.w | sum }}
{% macro r() %}{{ r() }}{% endmacro %}{{ r() }}""".split("\n")

BLANKS = [
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a  {%- if true -%}  b  {%- endif -%}  c", "a {{- 'b' -}} c {{ 'd' }} e", "{# n #}\nx{# n -#}  y{#- z #} w",
    "  {%+ if true %}x{%+ endif %}\n y", "{% if true +%}\nx{% endif +%}\ny", "a\r\n{% if true %}\r\nb{% endif %}\rc\n\n", "{% raw %}\n {{ x }} {% endraw %}\nz", "{%- raw -%}\n {% if %} {%- endraw -%} z",
    "\n{% set x = 1 %}\n\n{{ x }}\n", "x {# c #} y\n  {# d #}  \nz", "a{% if true %}   {% endif %}b", "  {% if true %} {% endif %}  \n{{ 'a' }}\n\n", "{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\n  {% if 0 %}{% endif %}\n",
]
