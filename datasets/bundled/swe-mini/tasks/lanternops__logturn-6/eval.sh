#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout dee66b975b7950d692907873bc28e4429c9ca350 -- tests/test_rotate.sh
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_rotate.sh b/tests/test_rotate.sh
index b341dba..f1b3ced 100644
--- a/tests/test_rotate.sh
+++ b/tests/test_rotate.sh
@@ -24,6 +24,56 @@ test_rotate_removes_the_oldest() {
   assert_equal "$(cat app.log.2)" three
 }
 
+# old NAME COUNT: write old logs that each hold the number in their name.
+old() {
+  local n
+  for ((n = 1; n <= $2; n++)); do
+    echo "$n" >"$1.$n"
+  done
+}
+
+test_rotate_more_than_nine() {
+  local n
+  old app.log 13
+  echo 0 >app.log
+  rotate app.log 30
+  for ((n = 1; n <= 14; n++)); do
+    assert_equal "$(<"app.log.$n")" $((n - 1))
+  done
+}
+
+test_rotate_more_than_nine_with_a_full_path() {
+  local log=$PWD/v1.2/old.logs/mail.err.log
+  mkdir -p v1.2/old.logs
+  old "$log" 11
+  echo 0 >"$log"
+  rotate "$log" 30
+  assert_equal "$(<"$log.1") $(<"$log.10") $(<"$log.11") $(<"$log.12")" '0 9 10 11'
+}
+
+test_rotate_tenth_log() {
+  old audit 9
+  echo 0 >audit
+  rotate audit 10
+  echo new >audit
+  rotate audit 10
+  assert_equal "$(<audit.1) $(<audit.2) $(<audit.9) $(<audit.10)" 'new 0 7 8'
+}
+
+test_rotate_removes_the_oldest_of_many() {
+  old audit 14
+  echo 0 >audit
+  rotate audit 12
+  assert_equal "$(<audit.12) $(echo audit.1?)" '11 audit.10 audit.11 audit.12'
+}
+
+test_rotate_keeping_nine() {
+  old app.log 9
+  echo 0 >app.log
+  rotate app.log 9
+  assert_equal "$(<app.log.9) $(echo app.log.??)" '8 app.log.??'
+}
+
 test_rotate_keeping_none() {
   echo one >app.log
   rotate app.log 0
EOF_114329324912
: '>>>>> Start Test Output'
bash tests/run.sh
: '>>>>> End Test Output'
