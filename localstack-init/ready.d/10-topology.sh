#!/bin/sh
# Written by `waypost topology export --format awslocal`: change the handlers, not this file.
# Idempotent, as `waypost topology apply` is.
set -eu

awslocal sns create-topic --name user-created
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-created --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sqs create-queue --queue-name user-service-dlq
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/user-service-dlq \
    --attributes '{"MessageRetentionPeriod":"1209600","RedriveAllowPolicy":"{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"arn:aws:sqs:us-east-1:000000000000:user-service\"]}","SqsManagedSseEnabled":"true"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/user-service-dlq --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sqs create-queue --queue-name user-service-undelivered
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/user-service-undelivered \
    --attributes '{"MessageRetentionPeriod":"1209600","Policy":"{\"Statement\":[{\"Action\":\"sqs:SendMessage\",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":[\"arn:aws:sns:us-east-1:000000000000:user-created\"]}},\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sns.amazonaws.com\"},\"Resource\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\",\"Sid\":\"topics\"}],\"Version\":\"2012-10-17\"}","SqsManagedSseEnabled":"true"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/user-service-undelivered --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sqs create-queue --queue-name user-service
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/user-service \
    --attributes '{"MessageRetentionPeriod":"345600","Policy":"{\"Statement\":[{\"Action\":\"sqs:SendMessage\",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":[\"arn:aws:sns:us-east-1:000000000000:user-created\"]}},\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sns.amazonaws.com\"},\"Resource\":\"arn:aws:sqs:us-east-1:000000000000:user-service\",\"Sid\":\"topics\"}],\"Version\":\"2012-10-17\"}","ReceiveMessageWaitTimeSeconds":"20","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-dlq\",\"maxReceiveCount\":20}","SqsManagedSseEnabled":"true","VisibilityTimeout":"60"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/user-service --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-created --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.created\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'
