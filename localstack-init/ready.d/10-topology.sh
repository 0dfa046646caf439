#!/bin/sh
# Written by `waypost topology export --format awslocal`: change the handlers, not this file.
# Idempotent, as `waypost topology apply` is.
set -eu

awslocal sns create-topic --name product-created
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:product-created --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name product-discontinued
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:product-discontinued --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name product-price-changed
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:product-price-changed --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name product-updated
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:product-updated --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-created
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-created --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-deactivated
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-deactivated --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-deleted
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-deleted --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-email-changed
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-email-changed --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-email-verification-requested
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-email-verification-requested --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-email-verified
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-email-verified --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-erasure-completed
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-erasure-completed --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-password-changed
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-password-changed --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-password-reset-requested
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-password-reset-requested --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-reactivated
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-reactivated --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-registration-repeated
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-registration-repeated --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-roles-changed
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-roles-changed --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sns create-topic --name user-sessions-revoked
awslocal sns tag-resource --resource-arn arn:aws:sns:us-east-1:000000000000:user-sessions-revoked --tags '[{"Key":"managed-by","Value":"waypost"},{"Key":"waypost-installation","Value":"/"}]'

awslocal sqs create-queue --queue-name user-service-dlq
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/user-service-dlq \
    --attributes '{"MessageRetentionPeriod":"1209600","RedriveAllowPolicy":"{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"arn:aws:sqs:us-east-1:000000000000:user-service\"]}","SqsManagedSseEnabled":"true"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/user-service-dlq --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sqs create-queue --queue-name user-service-undelivered
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/user-service-undelivered \
    --attributes '{"MessageRetentionPeriod":"1209600","Policy":"{\"Statement\":[{\"Action\":\"sqs:SendMessage\",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":[\"arn:aws:sns:us-east-1:000000000000:product-created\",\"arn:aws:sns:us-east-1:000000000000:product-discontinued\",\"arn:aws:sns:us-east-1:000000000000:product-price-changed\",\"arn:aws:sns:us-east-1:000000000000:product-updated\",\"arn:aws:sns:us-east-1:000000000000:user-created\",\"arn:aws:sns:us-east-1:000000000000:user-deactivated\",\"arn:aws:sns:us-east-1:000000000000:user-deleted\",\"arn:aws:sns:us-east-1:000000000000:user-email-changed\",\"arn:aws:sns:us-east-1:000000000000:user-email-verified\",\"arn:aws:sns:us-east-1:000000000000:user-password-changed\",\"arn:aws:sns:us-east-1:000000000000:user-reactivated\",\"arn:aws:sns:us-east-1:000000000000:user-roles-changed\",\"arn:aws:sns:us-east-1:000000000000:user-sessions-revoked\"]}},\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sns.amazonaws.com\"},\"Resource\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\",\"Sid\":\"topics\"}],\"Version\":\"2012-10-17\"}","SqsManagedSseEnabled":"true"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/user-service-undelivered --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sqs create-queue --queue-name user-service
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/user-service \
    --attributes '{"MessageRetentionPeriod":"345600","Policy":"{\"Statement\":[{\"Action\":\"sqs:SendMessage\",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":[\"arn:aws:sns:us-east-1:000000000000:product-created\",\"arn:aws:sns:us-east-1:000000000000:product-discontinued\",\"arn:aws:sns:us-east-1:000000000000:product-price-changed\",\"arn:aws:sns:us-east-1:000000000000:product-updated\",\"arn:aws:sns:us-east-1:000000000000:user-created\",\"arn:aws:sns:us-east-1:000000000000:user-deactivated\",\"arn:aws:sns:us-east-1:000000000000:user-deleted\",\"arn:aws:sns:us-east-1:000000000000:user-email-changed\",\"arn:aws:sns:us-east-1:000000000000:user-email-verified\",\"arn:aws:sns:us-east-1:000000000000:user-password-changed\",\"arn:aws:sns:us-east-1:000000000000:user-reactivated\",\"arn:aws:sns:us-east-1:000000000000:user-roles-changed\",\"arn:aws:sns:us-east-1:000000000000:user-sessions-revoked\"]}},\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sns.amazonaws.com\"},\"Resource\":\"arn:aws:sqs:us-east-1:000000000000:user-service\",\"Sid\":\"topics\"}],\"Version\":\"2012-10-17\"}","ReceiveMessageWaitTimeSeconds":"20","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-dlq\",\"maxReceiveCount\":20}","SqsManagedSseEnabled":"true","VisibilityTimeout":"60"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/user-service --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:product-created --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"product.created\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:product-discontinued --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"product.discontinued\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:product-price-changed --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"product.price.changed\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:product-updated --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"product.updated\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-created --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.created\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-deactivated --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.deactivated\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-deleted --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.deleted\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-email-changed --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.email.changed\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-email-verified --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.email.verified\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-password-changed --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.password.changed\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-reactivated --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.reactivated\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-roles-changed --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.roles.changed\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-sessions-revoked --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:user-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.sessions.revoked\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:user-service-undelivered\"}"}'

awslocal sqs create-queue --queue-name mailer-dlq
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/mailer-dlq \
    --attributes '{"MessageRetentionPeriod":"1209600","RedriveAllowPolicy":"{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"arn:aws:sqs:us-east-1:000000000000:mailer\"]}","SqsManagedSseEnabled":"true"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/mailer-dlq --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sqs create-queue --queue-name mailer-undelivered
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/mailer-undelivered \
    --attributes '{"MessageRetentionPeriod":"1209600","Policy":"{\"Statement\":[{\"Action\":\"sqs:SendMessage\",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":[\"arn:aws:sns:us-east-1:000000000000:user-deactivated\",\"arn:aws:sns:us-east-1:000000000000:user-email-changed\",\"arn:aws:sns:us-east-1:000000000000:user-email-verification-requested\",\"arn:aws:sns:us-east-1:000000000000:user-password-changed\",\"arn:aws:sns:us-east-1:000000000000:user-password-reset-requested\",\"arn:aws:sns:us-east-1:000000000000:user-reactivated\",\"arn:aws:sns:us-east-1:000000000000:user-registration-repeated\"]}},\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sns.amazonaws.com\"},\"Resource\":\"arn:aws:sqs:us-east-1:000000000000:mailer-undelivered\",\"Sid\":\"topics\"}],\"Version\":\"2012-10-17\"}","SqsManagedSseEnabled":"true"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/mailer-undelivered --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sqs create-queue --queue-name mailer
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/mailer \
    --attributes '{"MessageRetentionPeriod":"345600","Policy":"{\"Statement\":[{\"Action\":\"sqs:SendMessage\",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":[\"arn:aws:sns:us-east-1:000000000000:user-deactivated\",\"arn:aws:sns:us-east-1:000000000000:user-email-changed\",\"arn:aws:sns:us-east-1:000000000000:user-email-verification-requested\",\"arn:aws:sns:us-east-1:000000000000:user-password-changed\",\"arn:aws:sns:us-east-1:000000000000:user-password-reset-requested\",\"arn:aws:sns:us-east-1:000000000000:user-reactivated\",\"arn:aws:sns:us-east-1:000000000000:user-registration-repeated\"]}},\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sns.amazonaws.com\"},\"Resource\":\"arn:aws:sqs:us-east-1:000000000000:mailer\",\"Sid\":\"topics\"}],\"Version\":\"2012-10-17\"}","ReceiveMessageWaitTimeSeconds":"20","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:mailer-dlq\",\"maxReceiveCount\":20}","SqsManagedSseEnabled":"true","VisibilityTimeout":"60"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/mailer --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-deactivated --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:mailer \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.deactivated\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:mailer-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-email-changed --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:mailer \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.email.changed\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:mailer-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-email-verification-requested --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:mailer \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.email.verification.requested\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:mailer-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-password-changed --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:mailer \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.password.changed\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:mailer-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-password-reset-requested --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:mailer \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.password.reset.requested\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:mailer-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-reactivated --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:mailer \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.reactivated\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:mailer-undelivered\"}"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-registration-repeated --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:mailer \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.registration.repeated\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:mailer-undelivered\"}"}'

awslocal sqs create-queue --queue-name auth-service-dlq
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/auth-service-dlq \
    --attributes '{"MessageRetentionPeriod":"1209600","RedriveAllowPolicy":"{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"arn:aws:sqs:us-east-1:000000000000:auth-service\"]}","SqsManagedSseEnabled":"true"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/auth-service-dlq --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sqs create-queue --queue-name auth-service-undelivered
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/auth-service-undelivered \
    --attributes '{"MessageRetentionPeriod":"1209600","Policy":"{\"Statement\":[{\"Action\":\"sqs:SendMessage\",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":[\"arn:aws:sns:us-east-1:000000000000:user-erasure-completed\"]}},\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sns.amazonaws.com\"},\"Resource\":\"arn:aws:sqs:us-east-1:000000000000:auth-service-undelivered\",\"Sid\":\"topics\"}],\"Version\":\"2012-10-17\"}","SqsManagedSseEnabled":"true"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/auth-service-undelivered --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sqs create-queue --queue-name auth-service
awslocal sqs set-queue-attributes --queue-url http://localhost:4566/000000000000/auth-service \
    --attributes '{"MessageRetentionPeriod":"345600","Policy":"{\"Statement\":[{\"Action\":\"sqs:SendMessage\",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":[\"arn:aws:sns:us-east-1:000000000000:user-erasure-completed\"]}},\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sns.amazonaws.com\"},\"Resource\":\"arn:aws:sqs:us-east-1:000000000000:auth-service\",\"Sid\":\"topics\"}],\"Version\":\"2012-10-17\"}","ReceiveMessageWaitTimeSeconds":"20","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:auth-service-dlq\",\"maxReceiveCount\":20}","SqsManagedSseEnabled":"true","VisibilityTimeout":"60"}'
awslocal sqs tag-queue --queue-url http://localhost:4566/000000000000/auth-service --tags '{"managed-by":"waypost","waypost-installation":"/"}'

awslocal sns subscribe --topic-arn arn:aws:sns:us-east-1:000000000000:user-erasure-completed --protocol sqs \
    --notification-endpoint arn:aws:sqs:us-east-1:000000000000:auth-service \
    --attributes '{"FilterPolicy":"{\"type\":[\"user.erasure.completed\"]}","FilterPolicyScope":"MessageAttributes","RawMessageDelivery":"true","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:auth-service-undelivered\"}"}'
