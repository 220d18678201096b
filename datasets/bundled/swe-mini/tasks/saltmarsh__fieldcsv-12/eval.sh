#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout e4c1079789db4ee689d00e22fa814b5a6cd7ee07 -- tests/test_parser.c
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_parser.c b/tests/test_parser.c
index 3afd8ab..475747c 100644
--- a/tests/test_parser.c
+++ b/tests/test_parser.c
@@ -13,20 +13,36 @@ static void add_row(void *context)
     csv_buffer_append(context, "/", 1);
 }
 
-/* Parse `input` in one piece and write it down as <field><field>/<field>/. */
-static const char *parse(const char *input, char delimiter)
+/* Parse `input` in pieces and write it down as <field><field>/<field>/. */
+static const char *parse_pieces(const char *input, char delimiter, size_t size)
 {
     static csv_buffer seen;
     csv_parser parser;
+    csv_buffer_clear(&seen);
     csv_buffer_append(&seen, "", 0);
     csv_parser_init(&parser, delimiter, add_field, add_row, &seen);
-    enum csv_status status = csv_parser_feed(&parser, input, strlen(input));
+    enum csv_status status = CSV_OK;
+    size_t length = strlen(input);
+    for (size_t at = 0; status == CSV_OK && at < length; at += size)
+        status = csv_parser_feed(&parser, input + at, length - at < size ? length - at : size);
     if (status == CSV_OK)
         status = csv_parser_finish(&parser);
     csv_parser_free(&parser);
     return status == CSV_OK ? seen.data : "error";
 }
 
+static const char *parse(const char *input, char delimiter)
+{
+    return parse_pieces(input, delimiter, strlen(input) + 1);
+}
+
+/* The result has to be the same for pieces of every size. */
+static void check_pieces(const char *input, const char *expected)
+{
+    for (size_t size = 1; size <= strlen(input); size++)
+        CHECK_TEXT(parse_pieces(input, ',', size), expected);
+}
+
 static void splits_fields_and_rows(void)
 {
     CHECK_TEXT(parse("a,b\nc,,d\n", ','), "<a><b>/<c><><d>/");
@@ -72,6 +88,37 @@ static void missing_closing_quote_is_an_error(void)
     CHECK_TEXT(parse("\"a\n", ','), "error");
 }
 
+static void pieces_of_plain_text(void)
+{
+    check_pieces("ab,c\n\nd,e\n", "<ab><c>/<>/<d><e>/");
+}
+
+static void pieces_of_doubled_quotes(void)
+{
+    check_pieces("\"say \"\"hi\"\"\",\"\"\"\"\n", "<say \"hi\"><\">/");
+}
+
+static void pieces_of_crlf(void)
+{
+    check_pieces("a,b\r\nc,d\r\n", "<a><b>/<c><d>/");
+}
+
+static void pieces_of_mixed_line_breaks(void)
+{
+    check_pieces("a\rb\r\n\nc\r\rd\n\re\r", "<a>/<b>/<>/<c>/<>/<d>/<>/<e>/");
+}
+
+static void pieces_of_quoted_line_breaks(void)
+{
+    check_pieces("\"a\r\nb\"\r\n\"c\"\r\n", "<a\r\nb>/<c>/");
+}
+
+static void pieces_with_errors(void)
+{
+    check_pieces("\"a\" \"b\"\n", "error");
+    check_pieces("x\n\"a\"\"\n", "error");
+}
+
 const struct test parser_tests[] = {
     {"parser/splits_fields_and_rows", splits_fields_and_rows},
     {"parser/last_line_break_is_optional", last_line_break_is_optional},
@@ -80,6 +127,12 @@ const struct test parser_tests[] = {
     {"parser/quoted_fields", quoted_fields},
     {"parser/doubled_quotes", doubled_quotes},
     {"parser/other_delimiters", other_delimiters},
+    {"parser/pieces_of_plain_text", pieces_of_plain_text},
+    {"parser/pieces_of_doubled_quotes", pieces_of_doubled_quotes},
+    {"parser/pieces_of_crlf", pieces_of_crlf},
+    {"parser/pieces_of_mixed_line_breaks", pieces_of_mixed_line_breaks},
+    {"parser/pieces_of_quoted_line_breaks", pieces_of_quoted_line_breaks},
+    {"parser/pieces_with_errors", pieces_with_errors},
     {"parser/text_after_closing_quote_is_an_error", text_after_closing_quote_is_an_error},
     {"parser/missing_closing_quote_is_an_error", missing_closing_quote_is_an_error},
     {NULL, NULL},
EOF_114329324912
: '>>>>> Start Test Output'
make -s clean test
: '>>>>> End Test Output'
