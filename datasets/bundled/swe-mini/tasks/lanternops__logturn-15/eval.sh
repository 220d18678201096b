#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout 9eb6bfc6a11ed63646d2c7e6c95acddf41bb1ee4 -- tests/test_logturn.sh tests/test_rotate.sh
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_logturn.sh b/tests/test_logturn.sh
index 7ca0b0f..fb87f0c 100644
--- a/tests/test_logturn.sh
+++ b/tests/test_logturn.sh
@@ -31,6 +31,32 @@ test_logturn_without_matching_logs() {
   assert_equal "$(logturn turn.conf)" ''
 }
 
+test_logturn_name_with_a_blank() {
+  big 'Order Service.log'
+  printf 'size 1k\n[Order Service.log]\n' >turn.conf
+  assert_equal "$(logturn turn.conf)" 'rotating Order Service.log'
+  assert_equal "$(ls)" $'Order Service.log\nOrder Service.log.1\nturn.conf'
+}
+
+test_logturn_pattern_with_a_blank() {
+  mkdir 'north hall'
+  big 'north hall/a.log' 'north hall/b c.log' 'north.log' 'hall.log'
+  printf 'size 1k\n[north hall/*.log]\n' >turn.conf
+  assert_equal "$(logturn --dry-run turn.conf | sort)" \
+    $'would rotate north hall/a.log\nwould rotate north hall/b c.log'
+}
+
+test_logturn_keeps_old_logs_of_names_with_blanks() {
+  local n
+  printf 'size 1k\n[*.log]\n' >turn.conf
+  for n in 1 2 3; do
+    big 'a b.log' c.log
+    logturn turn.conf
+  done
+  assert_equal "$(ls | grep -c '^a b.log.[123]$')" 3
+  assert_equal "$(ls | grep -c '^c.log.[123]$')" 3
+}
+
 test_logturn_rejects_unknown_settings() {
   printf '[a.log]\nsiez 1k\n' >turn.conf
   assert_fails logturn turn.conf 2>error
diff --git a/tests/test_rotate.sh b/tests/test_rotate.sh
index 0612848..ad47989 100644
--- a/tests/test_rotate.sh
+++ b/tests/test_rotate.sh
@@ -37,6 +37,24 @@ test_rotate_leaves_other_files_alone() {
   assert_equal "$(cat app.log.2024-notes)" notes
 }
 
+test_rotate_names_with_blanks() {
+  local text
+  for text in one two three four; do
+    echo "$text" >'my  app.log'
+    rotate 'my  app.log' 3 no
+  done
+  assert_equal "$(cat 'my  app.log.1' 'my  app.log.2' 'my  app.log.3')" $'four\nthree\ntwo'
+  [[ ! -e 'my  app.log.4' ]]
+}
+
+test_rotate_compressed_names_with_blanks() {
+  echo one >'my app.log'
+  rotate 'my app.log' 3 yes
+  echo two >'my app.log'
+  rotate 'my app.log' 3 yes
+  assert_equal "$(gzip -dc 'my app.log.1.gz' 'my app.log.2.gz')" $'two\none'
+}
+
 test_rotate_compresses() {
   echo one >app.log
   rotate app.log 3 yes
EOF_114329324912
: '>>>>> Start Test Output'
bash tests/run.sh
: '>>>>> End Test Output'
