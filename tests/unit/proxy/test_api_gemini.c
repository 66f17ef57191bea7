/* Gemini's requests: what is read of them in either spelling, and the exact bodies that are written. */
#include "tests/unit/proxy/gemini_lab.h"

static void test_both_spellings(void)
{
    static const char want[] =
        "{'systemInstruction':{'parts':[{'text':'Be brief.'}]},"
        "'contents':[{'parts':[{'text':'hi'},{'inlineData':{'data':'ab+/','mimeType':'image/png'}},"
        "{'fileData':{'fileUri':'https://x/y.pdf','mimeType':'application/pdf'}}],'role':'user'},"
        "{'parts':[{'functionCall':{'name':'f','id':'c1','args':{'a':"
        "1.50}}}],"
        "'role':'model'},{'parts':[{'functionResponse':{'name':'f','id':'c1','response':{'result':'"
        "r'}}}],"
        "'role':'user'}],"
        "'tools':[{'functionDeclarations':[{'name':'f','description':'d','parametersJsonSchema':"
        "{'type':'object','properties':{'a_b':{'anyOf':[{'type':'string'},{'type':'integer'}]}},"
        "'additionalProperties':false,'minProperties':1}}]}],"
        "'toolConfig':{'functionCallingConfig':{'mode':'ANY','allowedFunctionNames':['f']}},"
        "'generationConfig':{'temperature':0.50,'topP':9e-1,'topK':40,'candidateCount':2,"
        "'maxOutputTokens':100,'stopSequences':['x','y'],'presencePenalty':-1,'frequencyPenalty':1,"
        "'seed':12345678901234567890,'responseMimeType':'application/json','responseJsonSchema':"
        "{'type':'string','enum':['a']},'thinkingConfig':{'includeThoughts':true,'thinkingBudget':"
        "512}}}";

    CHECK(back(
        "{'systemInstruction':{'parts':[{'text':'Be brief.'}]},"
        "'contents':[{'role':'user','parts':[{'text':'hi'},{'inlineData':{'mimeType':'image/png',"
        "'data':'ab-_'}},{'fileData':{'mimeType':'application/pdf','fileUri':'https://x/y.pdf'}}]},"
        "{'role':'model','parts':[{'functionCall':{'id':'c1','name':'"
        "f',"
        "'args':{'a':1.50}},'thoughtSignature':'QUJD'}]},"
        "{'role':'user','parts':[{'functionResponse':{'id':'c1','name':'f','response':{'output':'r'"
        "}}}]}],"
        "'tools':[{'functionDeclarations':[{'name':'f','description':'d','parameters':{'type':'"
        "OBJECT',"
        "'properties':{'a_b':{'anyOf':[{'type':'STRING'},{'type':'INTEGER'}]}},"
        "'additionalProperties':false,'minProperties':'1','propertyOrdering':['a_b']}}]}],"
        "'toolConfig':{'functionCallingConfig':{'mode':'ANY','allowedFunctionNames':['f']}},"
        "'generationConfig':{'temperature':0.50,'topP':9e-1,'topK':40,'candidateCount':2,"
        "'maxOutputTokens':100,'stopSequences':['x','y'],'presencePenalty':-1,'frequencyPenalty':1,"
        "'seed':12345678901234567890,'responseMimeType':'application/json','responseSchema':"
        "{'type':'STRING','enum':['a']},'thinkingConfig':{'includeThoughts':true,'thinkingBudget':"
        "512}}}",
        want, "contents[1].parts[0].thoughtSignature"));
    CHECK(back(
        "{'system_instruction':{'parts':[{'text':'Be brief.'}]},"
        "'contents':[{'role':'user','parts':[{'text':'hi'},{'inline_data':{'mime_type':'image/png',"
        "'data':'ab-_'}},{'file_data':{'mime_type':'application/pdf','file_uri':'https://x/"
        "y.pdf'}}]},"
        "{'role':'model','parts':[{'function_call':{'id':'c1','name':'"
        "f',"
        "'args':{'a':1.50}},'thought_signature':'QUJD'}]},"
        "{'role':'user','parts':[{'function_response':{'id':'c1','name':'f','response':{'output':'"
        "r'}}}]}],"
        "'tools':[{'function_declarations':[{'name':'f','description':'d','parameters':{'type':'"
        "object',"
        "'properties':{'a_b':{'any_of':[{'type':'string'},{'type':'integer'}]}},"
        "'additional_properties':false,'min_properties':'1','property_ordering':['a_b']}}]}],"
        "'tool_config':{'function_calling_config':{'mode':'ANY','allowed_function_names':['f']}},"
        "'generation_config':{'temperature':0.50,'top_p':9e-1,'top_k':40.0,'candidate_count':2,"
        "'max_output_tokens':100,'stop_sequences':['x','y'],'presence_penalty':-1,'frequency_"
        "penalty':1,"
        "'seed':12345678901234567890,'response_mime_type':'application/json','response_schema':"
        "{'type':'STRING','enum':['a']},'thinking_config':{'include_thoughts':true,'thinking_"
        "budget':512}}}",
        want, "contents[1].parts[0].thoughtSignature"));
    CHECK(refused(HI_IN ",'generationConfig':{},'generation_config':{}}", GW_EINVAL,
                  "generationConfig"));
    CHECK(refused(HI_IN ",'generationConfig':{'topP':1,'top_p':0}}", GW_EINVAL,
                  "generationConfig.topP"));
    /* Escapes are no third spelling. */
    CHECK(back("{'cont\\u0065nts':[{'p\\u0061rts':[{'t\\u0065xt':'h\\u0069'}]}]}", HI_IN "}", ""));
}

static void test_contents(void)
{
    CHECK(back("{'contents':{'parts':{'text':'hi'}}}", HI_IN "}", "")); /* lists of one */
    CHECK(back("{'contents':[{'role':null,'parts':[{'text':'hi'}]}],'tools':null}", HI_IN "}", ""));
    CHECK(back("{'systemInstruction':'S'," HI "}",
               "{'systemInstruction':{'parts':[{'text':'S'}]}," HI "}", ""));
    CHECK(back("{'systemInstruction':{'role':'user','parts':[]}," HI "}", HI_IN "}", ""));
    CHECK(refused("{'contents':[{'role':'system','parts':[{'text':'hi'}]}]}", GW_EINVAL,
                  "contents[0].role"));
    CHECK(refused("{'contents':[{'role':1,'parts':[{'text':'hi'}]}]}", GW_EINVAL,
                  "contents[0].role"));
    CHECK(refused("{'contents':[]}", GW_EINVAL, "contents"));
    CHECK(refused("{'contents':'hi'}", GW_EINVAL, "contents"));
    CHECK(refused("{}", GW_EINVAL, "contents"));
    CHECK(refused("[]", GW_EINVAL, ""));
    CHECK(refused("{'contents':['hi']}", GW_EINVAL, "contents[0]."));
    CHECK(refused("{'contents':[{'parts':['hi']}]}", GW_EINVAL, "contents[0].parts[0]."));
    CHECK(refused("{'contents':[{'parts':[{'text':7}]}]}", GW_EINVAL, "contents[0].parts[0].text"));
    CHECK(refused("{'contents':[{'parts':[{'text':'a','inlineData':{}}]}]}", GW_EINVAL,
                  "contents[0].parts[0].inlineData"));
    CHECK(refused(
        "{'systemInstruction':{'parts':[{'inlineData':{'data':'AA','mimeType':'image/png'}}]}," HI
        "}",
        GW_EINVAL, "systemInstruction.parts[0]"));
    /* What has no place elsewhere is refused by name, what means nothing is not. */
    CHECK(refused("{'contents':[{'parts':[{'text':'hi','video_metadata':{'fps':1}}]}]}",
                  GW_EUNSUPPORTED, "contents[0].parts[0].video_metadata"));
    CHECK(refused("{'contents':[{'parts':[{'executableCode':{'code':'1'}}]}]}", GW_EUNSUPPORTED,
                  "contents[0].parts[0].executableCode"));
    CHECK(refused("{'contents':[{'parts':[{'text':'hi'}],'weight':2}]}", GW_EUNSUPPORTED,
                  "contents[0].weight"));
    CHECK(refused(HI_IN ",'cachedContent':'cachedContents/1'}", GW_EUNSUPPORTED, "cachedContent"));
    CHECK(refused(HI_IN ",'somethingNew':1}", GW_EUNSUPPORTED, "somethingNew"));
    CHECK(back(HI_IN ",'labels':{'team':'a'},'serviceTier':'flex','store':true,'model':'models/x',"
                     "'somethingNew':null,'other':[]}",
               HI_IN "}", "labels, serviceTier, store, model"));
}

static void test_media(void)
{
    CHECK(back("{'contents':[{'parts':[{'inlineData':{'data':'AAAA','mimeType':'audio/wav'}},"
               "{'inlineData':{'data':'AAAA','mimeType':'video/mp4','displayName':'v.mp4'}},"
               "{'fileData':{'fileUri':'https://youtu.be/x'}}]}]}",
               "{'contents':[{'parts':[{'inlineData':{'data':'AAAA','mimeType':'audio/wav'}},"
               "{'inlineData':{'data':'AAAA','mimeType':'video/mp4'}},"
               "{'fileData':{'fileUri':'https://youtu.be/x'}}],'role':'user'}]}",
               "messages[0].filename"));
    CHECK(
        back("{'contents':[{'parts':[{'inlineData':{'data':'AAAA','mimeType':'image/"
             "png','displayName':'p'},"
             "'mediaResolution':{'level':'MEDIA_RESOLUTION_LOW'}}]}]}",
             "{'contents':[{'parts':[{'inlineData':{'data':'AAAA','mimeType':'image/"
             "png'}}],'role':'user'}]}",
             "contents[0].parts[0].mediaResolution, contents[0].parts[0].inlineData.displayName"));
    CHECK(refused(
        "{'contents':[{'parts':[{'fileData':{'fileUri':'gs://b/o','mimeType':'image/png'}}]}]}",
        GW_EUNSUPPORTED, "contents[0].parts[0].fileData.fileUri"));
    CHECK(refused("{'contents':[{'parts':[{'file_data':{'file_uri':"
                  "'https://generativelanguage.googleapis.com/v1beta/files/a'}}]}]}",
                  GW_EUNSUPPORTED, "contents[0].parts[0].fileData.fileUri"));
    CHECK(refused("{'contents':[{'parts':[{'inlineData':{'mimeType':'image/png'}}]}]}", GW_EINVAL,
                  "contents[0].parts[0].inlineData.data"));
    CHECK(refused("{'contents':[{'parts':[{'inlineData':{'data':'AAAA'}}]}]}", GW_EUNSUPPORTED,
                  "messages[0].content"));
}

static void test_calls_without_ids(void)
{
    /* In order by name; the second turn's calls go on counting. */
    CHECK(back("{" HI ",'tools':null}", HI_IN "}", ""));
    CHECK(back(
        "{'contents':[{'parts':[{'text':'hi'}]},{'role':'model','parts':[" CALL("f") "," CALL("g") "," CALL("f") "]},{'role':'function','parts':[" ANSWER(
            "f",
            "{'result':1.0}") "," ANSWER("f",
                                         "{'a':1}") "," ANSWER("g",
                                                               "{'error':{'code':7}"
                                                               "}") "]},{'role':'"
                                                                    "model','parts':"
                                                                    "[" CALL("f") "]"
                                                                                  "}"
                                                                                  ","
                                                                                  "{"
                                                                                  "'"
                                                                                  "p"
                                                                                  "a"
                                                                                  "r"
                                                                                  "t"
                                                                                  "s"
                                                                                  "'"
                                                                                  ":"
                                                                                  "[" ANSWER(
                                                                                      "f",
                                                                                      "{}") "]}]}",
        "{'contents':[{'parts':[{'text':'hi'}],'role':'user'},{'parts':[" CALL_OUT("f", "call_0") "," CALL_OUT("g", "call_1") "," CALL_OUT("f", "call_2") "],'role':'model'},{'parts':[" ANSWER_OUT(
            "f", "call_0",
            "{'result':'1.0'}") "," ANSWER_OUT("f", "call_2",
                                               "{'a':1}") ","
                                                          "{'functionResponse':{'name':'g','id':'"
                                                          "call_1','response':{'error':'{\\'code\\'"
                                                          ":7}'}}}],'role':'user'},"
                                                          "{'parts':[" CALL_OUT(
                                                              "f",
                                                              "call_3") "],'role':'model'},{'parts'"
                                                                        ":[" ANSWER_OUT("f",
                                                                                        "call_3",
                                                                                        "{}") "],'"
                                                                                              "role"
                                                                                              "':'"
                                                                                              "user"
                                                                                              "'}]"
                                                                                              "}",
        ""));
    /* Ids of the client's are kept, and matched before names. */
    CHECK(
        back(MODEL("{'functionCall':{'id':'x','name':'f'}},{'functionCall':{'id':'y','name':'f'}}"),
             MODEL_OUT(CALL_OUT("f", "x") "," CALL_OUT("f", "y")), ""));
    CHECK(refused("{'contents':[{'parts':[" CALL("f") "]}]}", GW_EINVAL,
                  "contents[0].parts[0].functionCall"));
    CHECK(refused(MODEL(ANSWER("f", "{}")), GW_EINVAL, "contents[1].parts[0].functionResponse"));
    CHECK(refused(MODEL("{'functionCall':{'args':{}}}"), GW_EINVAL,
                  "contents[1].parts[0].functionCall.name"));
    CHECK(refused(MODEL("{'functionCall':{'name':'f','args':[]}}"), GW_EINVAL,
                  "contents[1].parts[0].functionCall.args"));
    CHECK(refused(MODEL("{'functionCall':{'name':'f','willContinue':true}}"), GW_EUNSUPPORTED,
                  "contents[1].parts[0].functionCall.willContinue"));
    /* A response that no call asked for. */
    CHECK(back(
        "{'contents':[{'parts':[" ANSWER("f", "{'output':'x'}") "]}]}",
        "{'contents':[{'parts':[" ANSWER_OUT("f", "call_0", "{'result':'x'}") "],'role':'user'}]}",
        ""));
    CHECK(back("{'contents':[{'role':'model','parts':[" CALL(
                   "f") "]},{'parts':[{'functionResponse':{'name':'f',"
                        "'response':{'result':'see'},'parts':[{'inlineData':{'mimeType':'image/"
                        "png','data':'AAAA'}}]}}]}]}",
               "{'contents':[{'parts':[" CALL_OUT(
                   "f", "call_0") "],'role':'model'},{'parts':[{'functionResponse':"
                                  "{'name':'f','id':'call_0','response':{'result':'see'},'parts':[{"
                                  "'inlineData':{'data':'AAAA',"
                                  "'mimeType':'image/png'}}]}}],'role':'user'}]}",
               ""));
}

/* The schema as it is written to parametersJsonSchema. */
static bool schema(const char *in, const char *out)
{
    char body[2048], want[2048];

    snprintf(body, sizeof(body),
             HI_IN ",'tools':[{'functionDeclarations':[{'name':'f','parameters':%s}]}]}", in);
    snprintf(want, sizeof(want),
             HI_IN ",'tools':[{'functionDeclarations':[{'name':'f','parametersJsonSchema':%s}]}]}",
             out);
    return back(body, want, "");
}

static void test_schemas(void)
{
    CHECK(schema("{'type':'STRING'}", "{'type':'string'}"));
    CHECK(schema("{'type':'STRING','nullable':true}", "{'type':['string','null']}"));
    CHECK(schema("{'nullable':true,'type':'STRING','enum':['a','b']}",
                 "{'type':['string','null'],'enum':['a','b',null]}"));
    CHECK(schema("{'type':'STRING','nullable':false,'enum':[]}", "{'type':'string','enum':[]}"));
    CHECK(schema("{'type':'TYPE_UNSPECIFIED','title':'T','default':{'type':'OBJECT'}}",
                 "{'title':'T','default':{'type':'OBJECT'}}"));
    CHECK(schema("{'anyOf':[{'type':'STRING'}],'nullable':true}",
                 "{'anyOf':[{'type':'string'},{'type':'null'}]}"));
    CHECK(schema("{'type':'ARRAY','items':{'type':'OBJECT','properties':{'type':{'type':'BOOLEAN'},"
                 "'nullable':{'type':'NUMBER'}}},"
                 "'min_items':'2','maxItems':3,'maxLength':'x','minLength':'007'}",
                 "{'type':'array','items':{'type':'object','properties':{'type':{'type':'boolean'},"
                 "'nullable':{'type':'number'}}},"
                 "'minItems':2,'maxItems':3,'maxLength':'x','minLength':'007'}"));
    CHECK(schema("{'type':'OBJECT','defs':{'n':{'type':'INTEGER','format':'int64','minimum':1.0}},'"
                 "properties':{'c':{'ref':'#/defs/n'},"
                 "'d':{'ref':'x'}},'required':['c']}",
                 "{'type':'object','$defs':{'n':{'type':'integer','format':'int64','minimum':1.0}},"
                 "'properties':{'c':{'$ref':'#/$defs/n'},"
                 "'d':{'$ref':'x'}},'required':['c']}"));
    CHECK(schema("{}", "{}"));
    CHECK(schema(
        "{'type':1,'items':[1],'properties':[],'anyOf':{},'enum':'x','additionalProperties':true}",
        "{'type':1,'items':[1],'properties':[],'anyOf':{},'enum':'x','additionalProperties':"
        "true}"));
    CHECK(schema("{'x\\'\\u00e4':'\\n\\\\','description':'a\\tb'}",
                 "{'x\\'\\u00e4':'\\n\\\\','description':'a\\tb'}"));
}

static void test_tools(void)
{
    CHECK(back(HI_IN ",'tools':[{'functionDeclarations':[{'name':'f'},{'name':'g','"
                     "parametersJsonSchema':{'type' : 'OBJECT'}}]},"
                     "{'functionDeclarations':{'name':'h','response':{'type':'STRING'},'behavior':'"
                     "BLOCKING'}}]}",
               HI_IN ",'tools':[{'functionDeclarations':[{'name':'f'},{'name':'g','"
                     "parametersJsonSchema':{'type' : 'OBJECT'}},"
                     "{'name':'h'}]}]}",
               "tools[1].functionDeclarations[0].response"));
    CHECK(
        refused(HI_IN ",'tools':[{'googleSearch':{}}]}", GW_EUNSUPPORTED, "tools[0].googleSearch"));
    CHECK(refused(HI_IN ",'tools':[{'functionDeclarations':[]},{'code_execution':{}}]}",
                  GW_EUNSUPPORTED, "tools[1].code_execution"));
    CHECK(refused(HI_IN ",'tools':[{'functionDeclarations':[{'description':'d'}]}]}", GW_EINVAL,
                  "tools[0].functionDeclarations[0].name"));
    CHECK(refused(HI_IN ",'tools':[{'functionDeclarations':[{'name':'f','parameters':[]}]}]}",
                  GW_EINVAL, "tools[0].functionDeclarations[0].parameters"));
    CHECK(refused(HI_IN
                  ",'tools':[{'functionDeclarations':[{'name':'f','behavior':'NON_BLOCKING'}]}]}",
                  GW_EUNSUPPORTED, "tools[0].functionDeclarations[0].behavior"));
    CHECK(refused(HI_IN ",'tools':['x']}", GW_EINVAL, "tools[0]"));
}

static bool choice(const char *config, const char *want, const char *dropped)
{
    static const char two[] =
        HI_IN ",'tools':[{'functionDeclarations':[{'name':'f'},{'name':'g'}]}]";
    char body[512], out[512];

    snprintf(body, sizeof(body), "%s,'toolConfig':{'functionCallingConfig':%s}}", two, config);
    if (want == NULL)
        return refused(body, GW_EUNSUPPORTED, dropped);
    snprintf(out, sizeof(out), "%s%s}", two, want);
    return back(body, out, dropped);
}

static void test_tool_choice(void)
{
    static const char names[] = "toolConfig.functionCallingConfig.allowedFunctionNames";

    CHECK(choice("{'mode':'AUTO'}", ",'toolConfig':{'functionCallingConfig':{'mode':'AUTO'}}", ""));
    CHECK(choice("{'mode':'NONE'}", ",'toolConfig':{'functionCallingConfig':{'mode':'NONE'}}", ""));
    CHECK(choice("{'mode':'ANY'}", ",'toolConfig':{'functionCallingConfig':{'mode':'ANY'}}", ""));
    CHECK(choice("{'mode':'VALIDATED'}", ",'toolConfig':{'functionCallingConfig':{'mode':'AUTO'}}",
                 "toolConfig.functionCallingConfig.mode"));
    CHECK(choice(
        "{'mode':'ANY','allowedFunctionNames':['g']}",
        ",'toolConfig':{'functionCallingConfig':{'mode':'ANY','allowedFunctionNames':['g']}}", ""));
    CHECK(choice("{'mode':'ANY','allowedFunctionNames':['g','f']}",
                 ",'toolConfig':{'functionCallingConfig':{'mode':'ANY'}}", ""));
    CHECK(choice("{'mode':'VALIDATED','allowedFunctionNames':['g']}", NULL, names));
    CHECK(choice("{'mode':'AUTO','allowedFunctionNames':['g']}", NULL, names));
    CHECK(choice("{}", "", ""));
    CHECK(choice("{'mode':'MODE_UNSPECIFIED'}", "", ""));
    CHECK(refused(HI_IN ",'toolConfig':{'functionCallingConfig':{'mode':'SOMETIMES'}}}", GW_EINVAL,
                  "toolConfig.functionCallingConfig.mode"));
    CHECK(refused(HI_IN ",'toolConfig':{'retrievalConfig':{'languageCode':'en'}}}", GW_EUNSUPPORTED,
                  "toolConfig.retrievalConfig"));
}

static void test_generation(void)
{
    CHECK(back(
        HI_IN
        ",'generationConfig':{'temperature':null,'responseModalities':['TEXT'],'responseMimeType':"
        "'text/plain','mediaResolution':'MEDIA_RESOLUTION_LOW','stopSequences':'x'}}",
        HI_IN ",'generationConfig':{'stopSequences':['x']}}", "generationConfig.mediaResolution"));
    CHECK(back(HI_IN ",'generationConfig':{'responseMimeType':'application/json'}}",
               HI_IN ",'generationConfig':{'responseMimeType':'application/json'}}", ""));
    CHECK(back(HI_IN ",'generationConfig':{'responseJsonSchema':{'type':'OBJECT'}}}",
               HI_IN ",'generationConfig':{'responseMimeType':'application/"
                     "json','responseJsonSchema':{'type':'OBJECT'}}}",
               ""));
    CHECK(back(HI_IN ",'generationConfig':{'thinkingConfig':{'thinkingLevel':'low'}}}",
               HI_IN ",'generationConfig':{'thinkingConfig':{'thinkingLevel':'LOW'}}}", ""));
    CHECK(back(
        HI_IN
        ",'generationConfig':{'thinkingConfig':{'thinkingBudget':-1,'includeThoughts':false}}}",
        HI_IN
        ",'generationConfig':{'thinkingConfig':{'includeThoughts':false,'thinkingBudget':-1}}}",
        ""));
    CHECK(refused(HI_IN ",'generationConfig':{'responseMimeType':'text/"
                        "x.enum','responseSchema':{'type':'STRING'}}}",
                  GW_EUNSUPPORTED, "generationConfig.responseMimeType"));
    CHECK(refused(HI_IN ",'generationConfig':{'responseModalities':['TEXT','IMAGE']}}",
                  GW_EUNSUPPORTED, "generationConfig.responseModalities"));
    CHECK(refused(HI_IN ",'generationConfig':{'responseLogprobs':true}}", GW_EUNSUPPORTED,
                  "logprobs"));
    CHECK(refused(HI_IN ",'generationConfig':{'speechConfig':{'a':1}}}", GW_EUNSUPPORTED,
                  "generationConfig.speechConfig"));
    CHECK(refused(HI_IN ",'generationConfig':{'temperature':'hot'}}", GW_EINVAL,
                  "generationConfig.temperature"));
    CHECK(refused(HI_IN ",'generationConfig':[]}", GW_EINVAL, "generationConfig"));
    CHECK(refused(HI_IN ",'generationConfig':{'thinkingConfig':{'thinkingLevel':'ABSURD'}}}",
                  GW_EUNSUPPORTED, "reasoning_effort"));
    /* Filters switched off are nobody else's business; filters asked for are. */
    CHECK(back(HI_IN ",'safetySettings':[{'category':'A','threshold':'BLOCK_NONE'},{'category':'B',"
                     "'threshold':'OFF'}]}",
               HI_IN "}", "safetySettings[0], safetySettings[1]"));
    CHECK(refused(HI_IN ",'safetySettings':[{'category':'A','threshold':'BLOCK_LOW_AND_ABOVE'}]}",
                  GW_EUNSUPPORTED, "safetySettings[0]"));
}

int main(void)
{
    test_both_spellings();
    test_contents();
    test_media();
    test_calls_without_ids();
    test_schemas();
    test_tools();
    test_tool_choice();
    test_generation();
    return test_done();
}
