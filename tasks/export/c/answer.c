/* Answers rows with model.onnx, which lies in the folder that it is started in or that its argument names.
   A row a line on standard input: the inputs in the order of model.h with tabs between them, the numbers of one input
   with blanks between them, nothing where a value is missing; in texts \t, \n, \r and \\ stand for what they say.
   A JSON object a line on standard output. A row that is refused answers {"error": ...}; then the exit code is 1. */

#define _GNU_SOURCE
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "onnxruntime_c_api.h"

struct input {
  const char *name;
  ONNXTensorElementDataType type;
  const int64_t *shape;
  size_t dimensions;
  const char *const *categories; /* NULL: any text is read */
  const char *usual;             /* stands for a missing value */
  int lowered;                   /* A to Z become small before the graph, which leaves that to the program */
};
#include "model.h"

static const OrtApi *ort;
static OrtAllocator *allocator;
static char error[600], notices[16 * 1024];

static int refuse(const char *format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(error, sizeof error, format, values);
  va_end(values);
  return 0;
}

static int fine(OrtStatus *status) {
  if (status == NULL) return 1;
  refuse("%s", ort->GetErrorMessage(status));
  ort->ReleaseStatus(status);
  return 0;
}

static void print_text(const char *text) {
  putchar('"');
  for (const unsigned char *at = (const unsigned char *)text; *at; at++)
    if (*at < 0x20 || *at == '"' || *at == '\\') printf("\\u%04x", *at);
    else putchar(*at);
  putchar('"');
}

static void notice(const char *format, const char *name, const char *value) {
  size_t used = strlen(notices);
  snprintf(notices + used, sizeof notices - used, format, name, value);
}

static void unescape(char *text) {
  char *to = text;
  for (; *text; text++) {
    const char *named = *text == '\\' && text[1] ? strchr("t\tn\nr\r\\\\", text[1]) : NULL;
    *to++ = named ? (text++, named[1]) : *text;
  }
  *to = 0;
}

static int take_text(const struct input *input, char *text, OrtValue *value) {
  size_t characters = 0;
  unescape(text);
  for (const char *at = text; *at; at++) characters += (*at & 0xC0) != 0x80;
  if (characters > LONGEST_TEXT)
    return refuse("input '%s': has %zu characters; want at most %d", input->name, characters, LONGEST_TEXT);
  const char *const *known = input->categories;
  while (known && *known && strcmp(*known, text)) known++;
  if (!*text) notice("input '%s': the row has no value\036%s", input->name, "");
  else if (known && !*known) notice("input '%s': the row has a category that counts as missing: '%.200s'\036", input->name, text);
  for (char *at = text; *at; at++) if (input->lowered && *at >= 'A' && *at <= 'Z') *at += 'a' - 'A';
  return fine(ort->FillStringTensor(value, (const char *const *)&text, 1));
}

#define WHOLE(TYPE, LOW, HIGH) (whole = 1, low = (LOW), high = (HIGH), ((TYPE *)data)[at] = (TYPE)(number >= low && number <= high ? number : 0))

static int take_numbers(const struct input *input, char *text, OrtValue *value) {
  void *data;
  size_t count = 1, at = 0;
  int alone = input->dimensions == 1;
  for (size_t dimension = 0; dimension < input->dimensions; dimension++) count *= input->shape[dimension];
  if (!fine(ort->GetTensorMutableData(value, &data))) return 0;
  for (char *next, *field = alone ? text : strtok_r(text, " ", &next); field; field = alone ? NULL : strtok_r(NULL, " ", &next), at++) {
    char *end;
    int whole = 0, missing = alone && !*field;
    double number = missing ? NAN : strtod(field, &end), low = -INFINITY, high = INFINITY;
    if (at == count) return refuse("input '%s': has more than %zu values", input->name, count);
    switch (input->type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: high = 3.4028235677973365e38, low = -high, ((float *)data)[at] = (float)number; break;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8: WHOLE(uint8_t, 0, 255); break;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8: WHOLE(int8_t, -128, 127); break;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16: WHOLE(uint16_t, 0, 65535); break;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16: WHOLE(int16_t, -32768, 32767); break;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: WHOLE(int32_t, -2147483648.0, 2147483647.0); break;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32: WHOLE(uint32_t, 0, 4294967295.0); break;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: WHOLE(int64_t, -9007199254740991.0, 9007199254740991.0); break;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL: WHOLE(uint8_t, 0, 1); break;
    default: ((double *)data)[at] = number;
    }
    if (missing && !whole) {
      if (input->usual) notice("input '%s': the row has no value; the training rows' median %s stands for it\036", input->name, input->usual);
      else notice("input '%s': the row has no value\036%s", input->name, "");
    } else if (missing || !*field || strspn(field, "0123456789.+-eE") != strlen(field) || *end || number < low || number > high ||
               !isfinite(number) || (whole && number != floor(number))) {
      return refuse("input '%s': is '%.60s'; want %s number%s", input->name, field, whole ? "a whole" : "a", whole ? " in its range" : ", or nothing");
    }
  }
  return at == count || refuse("input '%s': has %zu values; want %zu", input->name, at, count);
}

static int print_output(const char *name, OrtValue *value, int first) {
  OrtTensorTypeAndShapeInfo *info;
  ONNXTensorElementDataType type;
  void *data;
  size_t count, dimensions;
  if (!fine(ort->GetTensorTypeAndShape(value, &info))) return 0;
  int known = fine(ort->GetTensorElementType(info, &type)) && fine(ort->GetTensorShapeElementCount(info, &count)) &&
              fine(ort->GetDimensionsCount(info, &dimensions)) && fine(ort->GetTensorMutableData(value, &data));
  ort->ReleaseTensorTypeAndShapeInfo(info);
  if (!known) return 0;
  if (first && CLASS_COUNT) printf("{\"answer\": "), print_text(CLASSES[((int64_t *)data)[0]]);
  else if (first) printf("{\"answer\": \"%.9g\"", type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ? ((float *)data)[0] : NAN);
  printf(", "), print_text(name), printf(dimensions > 1 ? ": [" : ": ");
  for (size_t at = 0; at < count; at++) {
    double number = type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT   ? ((float *)data)[at]
                    : type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 ? (double)((int64_t *)data)[at]
                                                                  : ((double *)data)[at];
    printf(isfinite(number) ? "%s%.*g" : "%snull", at ? ", " : "", type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ? 9 : 17, number);
  }
  if (dimensions > 1) putchar(']');
  return 1;
}

/* One line's answer; 0 where it is refused, and why in `error`. */
static int answer(OrtSession *session, char *line) {
  OrtValue *inputs[INPUT_COUNT] = {0}, *outputs[OUTPUT_COUNT] = {0};
  const char *names[INPUT_COUNT];
  int good = 1;
  size_t number = 0;
  *notices = 0;
  for (char *field; good && (field = strsep(&line, "\t")); number++) {
    const struct input *input = &INPUTS[number];
    if (number == INPUT_COUNT) { good = refuse("has more than %d values; want one an input, separated by tabs; \\t stands for a tab in a text", INPUT_COUNT); break; }
    names[number] = input->name;
    good = fine(ort->CreateTensorAsOrtValue(allocator, input->shape, input->dimensions, input->type, &inputs[number])) &&
           (input->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING ? take_text : take_numbers)(input, field, inputs[number]);
  }
  if (good && number < INPUT_COUNT) good = refuse("has %zu values; want %d, separated by tabs: no '%s'", number, INPUT_COUNT, INPUTS[number].name);
  good = good && fine(ort->Run(session, NULL, names, (const OrtValue *const *)inputs, INPUT_COUNT, OUTPUTS, OUTPUT_COUNT, outputs));
  for (size_t output = 0; output < OUTPUT_COUNT; output++) good = good && print_output(OUTPUTS[output], outputs[output], output == 0);
  for (size_t each = 0; each < INPUT_COUNT; each++) if (inputs[each]) ort->ReleaseValue(inputs[each]);
  for (size_t each = 0; each < OUTPUT_COUNT; each++) if (outputs[each]) ort->ReleaseValue(outputs[each]);
  if (!good) return 0;
  printf(", \"notices\": [");
  for (char *next, *told = strtok_r(notices, "\036", &next), *first = told; told; told = strtok_r(NULL, "\036", &next))
    fputs(told == first ? "" : ", ", stdout), print_text(told);
  puts("]}");
  return 1;
}

int main(int count, char **arguments) {
  OrtEnv *environment;
  OrtSessionOptions *options;
  OrtSession *session;
  char *line = NULL;
  size_t room = 0;
  int code = 0;
  ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (ort == NULL || !fine(ort->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "answer", &environment)) ||
      !fine(ort->CreateSessionOptions(&options)) || !fine(ort->SetIntraOpNumThreads(options, 1)) ||
      !fine(ort->GetAllocatorWithDefaultOptions(&allocator)) ||
      !fine(ort->CreateSession(environment, count > 1 ? arguments[1] : "model.onnx", options, &session))) {
    fprintf(stderr, "answer: %s\n", ort ? error : "this ONNX Runtime is older than 1.13");
    return 2;
  }
  for (ssize_t length; (length = getline(&line, &room, stdin)) >= 0;) {
    if (length && line[length - 1] == '\n') line[--length] = 0;
    if (strlen(line) == (size_t)length ? answer(session, line) : refuse("holds the character NUL; remove it")) continue;
    printf("{\"error\": "), print_text(error), puts("}");
    code = 1;
  }
  return code;
}
