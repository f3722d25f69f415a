#!/bin/sh
# Makes the passwords that docker-compose.yml needs, each in a file of its own, in ./secrets or the folder given.
# What is there stays, so it may be run again: after a password was changed by hand, for one.
#
#   sh configs/deploy/secrets.sh
set -eu
folder=${1:-secrets}
# Nobody else on this machine enters the folder. The files can be read by whoever gets them mounted: the user
# of a container is not the one who runs this.
mkdir -p "$folder"
chmod 0700 "$folder"
umask 0022
for name in elastic_password groundswell_password kafka_password; do
  file=$folder/$name
  if [ -s "$file" ]; then
    echo "$file is there already"
    continue
  fi
  # 32 characters of letters and digits: no program has to quote them.
  LC_ALL=C tr -dc 'A-Za-z0-9' < /dev/urandom | head -c 32 > "$file.new"
  mv "$file.new" "$file"
  echo "$file made"
done
# The same password once more, as Kafka reads it: who may come in, by name.
cat > "$folder/kafka_users" <<END
KafkaServer {
  org.apache.kafka.common.security.plain.PlainLoginModule required
  user_groundswell="$(cat "$folder/kafka_password")";
};
END
