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

/* Bytes of the character that begins here; 0 where it is none, or was cut off. */
static size_t character_size(const unsigned char *at) {
  size_t size = *at < 0x80 ? 1 : *at < 0xC2 ? 0 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : *at < 0xF5 ? 4 : 0;
  for (size_t more = 1; more < size; more++)
    if (at[more] >> 6 != 2) return 0;
  /* Longer than need be, half of a surrogate pair, or behind the last character. */
  if ((*at == 0xE0 && at[1] < 0xA0) || (*at == 0xED && at[1] > 0x9F)) return 0;
  if ((*at == 0xF0 && at[1] < 0x90) || (*at == 0xF4 && at[1] > 0x8F)) return 0;
  return size;
}

static void print_text(const char *text) {
  putchar('"');
  for (const unsigned char *at = (const unsigned char *)text; *at;) {
    size_t size = character_size(at);
    if (size == 0) fputs("\\ufffd", stdout);
    else if (*at < 0x20 || *at == '"' || *at == '\\') printf("\\u%04x", *at);
    else fwrite(at, 1, size, stdout);
    at += size ? size : 1;
  }
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
  const char *const *known = input->categories;
  unescape(text);
  for (const unsigned char *at = (const unsigned char *)text; *at; at += character_size(at), characters++)
    if (character_size(at) == 0) return refuse("input '%s': is no UTF-8; it holds the byte %02x", input->name, *at);
  if (characters > LONGEST_TEXT)
    return refuse("input '%s': has %zu characters; want at most %d", input->name, characters, LONGEST_TEXT);
  while (known && *known && strcmp(*known, text)) known++;
  if (!*text)
    notice("input '%s': the row has no value%s\036", input->name, "");
  else if (known && !*known)
    notice("input '%s': the row has a category that counts as missing: '%.200s'\036", input->name, text);
  for (char *at = text; *at; at++)
    if (input->lowered && *at >= 'A' && *at <= 'Z') *at += 'a' - 'A';
  return fine(ort->FillStringTensor(value, (const char *const *)&text, 1));
}

static int read_number(const char *field, double *number) {
  char *end;
  *number = strtod(field, &end);
  /* strtod takes nan, inf and 0x10 too, which the model server does not. */
  return *field && !*end && strspn(field, "0123456789.+-eE") == strlen(field) && isfinite(*number);
}

#define WHOLE(TYPE, LOW, HIGH) \
  (number == floor(number) && number >= (LOW) && number <= (HIGH) && (((TYPE *)data)[at] = (TYPE)number, 1))

/* Puts a number into a tensor; 0 where its type has no such number. JSON and so the server are exact up to 2^53. */
static int store(ONNXTensorElementDataType type, void *data, size_t at, double number) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: return !isinf(((float *)data)[at] = (float)number);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE: return ((double *)data)[at] = number, 1;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8: return WHOLE(uint8_t, 0, 255);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8: return WHOLE(int8_t, -128, 127);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16: return WHOLE(uint16_t, 0, 65535);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16: return WHOLE(int16_t, -32768, 32767);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32: return WHOLE(uint32_t, 0, 4294967295.0);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return WHOLE(int32_t, -2147483648.0, 2147483647.0);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return WHOLE(int64_t, -9007199254740991.0, 9007199254740991.0);
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL: return WHOLE(uint8_t, 0, 1);
    default: return 0;
  }
}

static int take_numbers(const struct input *input, char *text, OrtValue *value) {
  int alone = input->dimensions == 1;
  int optional = alone && (input->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ||
                           input->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE);
  size_t count = 1, at = 0;
  double number;
  void *data;
  char *rest;
  for (size_t dimension = 0; dimension < input->dimensions; dimension++) count *= input->shape[dimension];
  if (!fine(ort->GetTensorMutableData(value, &data))) return 0;
  if (optional && !*text) {
    if (input->usual)
      notice("input '%s': the row has no value; the training rows' median %s stands for it\036", input->name,
             input->usual);
    else
      notice("input '%s': the row has no value%s\036", input->name, "");
    return store(input->type, data, 0, NAN);
  }
  for (char *field = alone ? text : strtok_r(text, " ", &rest); field; at++) {
    if (at == count) return refuse("input '%s': has more than %zu values", input->name, count);
    if (!read_number(field, &number) || !store(input->type, data, at, number))
      return refuse("input '%s': is '%.60s'; want %s", input->name, field,
                    optional ? "a number, or nothing" : "numbers that its type has");
    field = alone ? NULL : strtok_r(NULL, " ", &rest);
  }
  return at == count || refuse("input '%s': has %zu values; want %zu", input->name, at, count);
}

static double number_at(ONNXTensorElementDataType type, const void *data, size_t at) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: return ((const float *)data)[at];
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return (double)((const int64_t *)data)[at];
    default: return ((const double *)data)[at]; /* gyre export has seen that there are no others */
  }
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
  int digits = type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ? 9 : 17;
  if (first) {
    fputs("{\"answer\": ", stdout);
    if (CLASS_COUNT) print_text(CLASSES[((int64_t *)data)[0]]);
    else printf("\"%.*g\"", digits, number_at(type, data, 0));
  }
  fputs(", ", stdout);
  print_text(name);
  fputs(dimensions > 1 ? ": [" : ": ", stdout);
  for (size_t at = 0; at < count; at++) {
    double number = number_at(type, data, at);
    printf(isfinite(number) ? "%s%.*g" : "%snull", at ? ", " : "", digits, number);
  }
  if (dimensions > 1) putchar(']');
  return 1;
}

static int take_row(char *line, OrtValue **inputs) {
  size_t number = 0;
  for (char *field; (field = strsep(&line, "\t")); number++) {
    if (number == INPUT_COUNT)
      return refuse("has more than %d values; want one an input, separated by tabs; \\t stands for a tab in a text",
                    INPUT_COUNT);
    const struct input *input = &INPUTS[number];
    int is_text = input->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING;
    if (!fine(ort->CreateTensorAsOrtValue(allocator, input->shape, input->dimensions, input->type, &inputs[number])) ||
        !(is_text ? take_text : take_numbers)(input, field, inputs[number]))
      return 0;
  }
  return number == INPUT_COUNT || refuse("has %zu values; want %d, separated by tabs: no '%s'", number, INPUT_COUNT,
                                         INPUTS[number].name);
}

/* Prints one line's answer; 0 where it is refused, and why in `error`. */
static int answer(OrtSession *session, char *line) {
  OrtValue *inputs[INPUT_COUNT] = {0}, *outputs[OUTPUT_COUNT] = {0};
  const char *names[INPUT_COUNT];
  char *rest;
  *notices = 0;
  for (size_t each = 0; each < INPUT_COUNT; each++) names[each] = INPUTS[each].name;
  int good = take_row(line, inputs) && fine(ort->Run(session, NULL, names, (const OrtValue *const *)inputs, INPUT_COUNT,
                                                     OUTPUTS, OUTPUT_COUNT, outputs));
  for (size_t each = 0; good && each < OUTPUT_COUNT; each++)
    good = print_output(OUTPUTS[each], outputs[each], each == 0);
  for (size_t each = 0; each < INPUT_COUNT; each++) ort->ReleaseValue(inputs[each]);
  for (size_t each = 0; each < OUTPUT_COUNT; each++) ort->ReleaseValue(outputs[each]);
  if (!good) return 0;
  fputs(", \"notices\": [", stdout);
  for (char *told = strtok_r(notices, "\036", &rest), *first = told; told; told = strtok_r(NULL, "\036", &rest)) {
    fputs(told == first ? "" : ", ", stdout);
    print_text(told);
  }
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
