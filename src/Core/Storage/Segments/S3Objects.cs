using System.Net;
using System.Security.Cryptography;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Storage.Segments;

/// <summary>
/// The few requests that segments need of an S3 server: put, head, get, list, delete, whole objects only. Each attempt has a time limit and passing faults are tried
/// again, so that every call ends; what it ends with says what was asked of which place, and no credentials. The one place that knows the client library.
/// </summary>
internal sealed class S3Objects : ISegmentMarks, IDisposable
{
    /// <summary>Attempts of one request.</summary>
    public const int AttemptsMax = 5;

    /// <summary>Bytes of one object that a server takes in one request; larger segments do not occur by far.</summary>
    private const long ObjectBytesMax = 5L << 30;

    private const int BufferBytes = 1 << 20;

    /// <summary>The slowest transfer that is not given up.</summary>
    private const long BytesPerSecondMin = 256 << 10;

    private static readonly TimeSpan AttemptTime = TimeSpan.FromSeconds(20);
    private readonly SegmentPlace _place;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;
    private readonly AmazonS3Client _client;

    public S3Objects(SegmentPlace place, TimeProvider clock, ILogger log)
    {
        (_place, _clock, _log) = (place, clock, log);
        var config = new AmazonS3Config
        {
            ForcePathStyle = place.PathStyle,
            // Time limits and attempts are counted here, in one place.
            MaxErrorRetry = 0,
            Timeout = Timeout.InfiniteTimeSpan,
            // The checksum that matters is given with each segment; trailing ones are not known to all servers.
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
        };
        if (place.Endpoint is { } endpoint)
            (config.ServiceURL, config.AuthenticationRegion) = (endpoint.ToString(), place.Region);
        else
            config.RegionEndpoint = Amazon.RegionEndpoint.GetBySystemName(place.Region);
        _client = new AmazonS3Client(new BasicAWSCredentials(place.Key, place.Secret), config);
    }

    /// <summary>Stores a file whose hash is known, and makes sure that it is there whole.</summary>
    public async Task UploadAsync(string key, string path, byte[] sha256, CancellationToken cancel)
    {
        var length = new FileInfo(path).Length;
        if (length > ObjectBytesMax)
            throw new SegmentStoreException($"A segment of {length} bytes is larger than one object may be; contribute the file in parts.");
        await TryAsync($"store {key}", Limit(length), async limit =>
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, BufferBytes, FileOptions.Asynchronous | FileOptions.SequentialScan);
            var put = new PutObjectRequest
            {
                BucketName = _place.Bucket, Key = _place.Prefix + key, InputStream = file, AutoCloseStream = false, UseChunkEncoding = false,
                ChecksumSHA256 = Convert.ToBase64String(sha256),
            };
            // The hash is known, so that the client need not read the file once more to sign it; the server compares.
            put.Headers["x-amz-content-sha256"] = Convert.ToHexStringLower(sha256);
            await _client.PutObjectAsync(put, limit).ConfigureAwait(false);
            await VerifyAsync(key, path, length, sha256, limit).ConfigureAwait(false);
            return true;
        }, cancel).ConfigureAwait(false);
    }

    /// <summary>Writes an object's bytes to a file, flushed; answers their hash and length, or null when there is no such object.</summary>
    public async Task<(byte[] Sha256, long Length)?> DownloadAsync(string key, string path, CancellationToken cancel)
    {
        return await TryAsync<(byte[], long)?>($"read {key}", AttemptTime, async (stop, extend) =>
        {
            GetObjectResponse response;
            try
            {
                response = await _client.GetObjectAsync(Whole(key), stop).ConfigureAwait(false);
            }
            catch (AmazonS3Exception e) when (Missing(e))
            {
                return null;
            }
            using (response)
            {
                extend(Limit(response.ContentLength));
                using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
                long length = 0;
                using (var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 1, FileOptions.Asynchronous))
                {
                    var buffer = new byte[BufferBytes];
                    for (int read; (read = await response.ResponseStream.ReadAsync(buffer, stop).ConfigureAwait(false)) > 0; length += read)
                    {
                        hash.AppendData(buffer, 0, read);
                        await file.WriteAsync(buffer.AsMemory(0, read), stop).ConfigureAwait(false);
                    }
                    file.Flush(flushToDisk: true);
                }
                return length == response.ContentLength
                    ? (hash.GetHashAndReset(), length)
                    : throw new HttpIOException(HttpRequestError.ResponseEnded, $"{length} of {response.ContentLength} bytes came");
            }
        }, cancel).ConfigureAwait(false);
    }

    public Task DeleteAsync(string key, CancellationToken cancel) => TryAsync($"delete {key}", AttemptTime, async limit =>
    {
        try
        {
            await _client.DeleteObjectAsync(new DeleteObjectRequest { BucketName = _place.Bucket, Key = _place.Prefix + key }, limit).ConfigureAwait(false);
        }
        catch (AmazonS3Exception e) when (Missing(e))
        {
            // As it should be.
        }
        return true;
    }, cancel);

    /// <summary>Keys that begin so, below the place's prefix; not those with a further slash when <paramref name="flat"/>.</summary>
    public async Task<List<StoredItem>> ListAsync(string prefix, bool flat, CancellationToken cancel)
    {
        var found = new List<StoredItem>();
        string? next = null;
        do
        {
            var page = await TryAsync($"list {prefix}*", AttemptTime, limit => _client.ListObjectsV2Async(
                new ListObjectsV2Request { BucketName = _place.Bucket, Prefix = _place.Prefix + prefix, Delimiter = flat ? "/" : null, ContinuationToken = next }, limit), cancel).ConfigureAwait(false);
            foreach (var item in page.S3Objects ?? [])
                found.Add(new(item.Key[_place.Prefix.Length..], new DateTimeOffset((item.LastModified ?? DateTime.UnixEpoch).ToUniversalTime(), TimeSpan.Zero)));
            next = page.IsTruncated == true ? page.NextContinuationToken : null;
        }
        while (next is not null);
        return found;
    }

    /// <summary>Refuses a bucket that keeps what was deleted: an erasure would not be one.</summary>
    public async Task CheckAsync(CancellationToken cancel)
    {
        var versions = await TryAsync("look at the bucket", AttemptTime, async limit =>
        {
            try
            {
                var found = await _client.GetBucketVersioningAsync(new GetBucketVersioningRequest { BucketName = _place.Bucket }, limit).ConfigureAwait(false);
                return found.VersioningConfig?.Status == VersionStatus.Enabled;
            }
            catch (AmazonS3Exception e) when (e.StatusCode is HttpStatusCode.NotImplemented or HttpStatusCode.Forbidden or HttpStatusCode.MethodNotAllowed)
            {
                _log.LogWarning("Whether {Place} keeps old versions of objects could not be learnt ({Code}); if it does, erased records stay in them", _place.ToString(), e.ErrorCode);
                return false;
            }
        }, cancel).ConfigureAwait(false);
        if (versions)
            throw new SegmentStoreException($"The bucket {_place.Bucket} keeps old versions of its objects, so that nothing could be erased from it. Use a bucket without versioning.");
    }

    public async ValueTask PutAsync(string key, CancellationToken cancel) => await TryAsync($"store {key}", AttemptTime,
        limit => _client.PutObjectAsync(new PutObjectRequest { BucketName = _place.Bucket, Key = _place.Prefix + key, ContentBody = "1", UseChunkEncoding = false }, limit), cancel).ConfigureAwait(false);

    public async ValueTask RemoveAsync(string key, CancellationToken cancel) => await DeleteAsync(key, cancel).ConfigureAwait(false);

    async ValueTask<List<StoredItem>> ISegmentMarks.ListAsync(string prefix, CancellationToken cancel) => await ListAsync(prefix, flat: false, cancel).ConfigureAwait(false);

    public async ValueTask<string> OwnAsync(string owner, CancellationToken cancel)
    {
        if (await OwnerAsync(cancel).ConfigureAwait(false) is { } found)
            return found;
        // A server that does not know the condition lets a second one in; the answer is read again in any case.
        await TryAsync("store owner", AttemptTime, async limit =>
        {
            try
            {
                await _client.PutObjectAsync(new PutObjectRequest { BucketName = _place.Bucket, Key = _place.Prefix + "owner", ContentBody = owner, UseChunkEncoding = false, IfNoneMatch = "*" }, limit).ConfigureAwait(false);
            }
            catch (AmazonS3Exception e) when (e.StatusCode is HttpStatusCode.PreconditionFailed)
            {
                // Somebody else was first.
            }
            return true;
        }, cancel).ConfigureAwait(false);
        return await OwnerAsync(cancel).ConfigureAwait(false) ?? "";
    }

    public void Dispose() => _client.Dispose();

    private Task<string?> OwnerAsync(CancellationToken cancel) => TryAsync("read owner", AttemptTime, async limit =>
    {
        try
        {
            using var response = await _client.GetObjectAsync(new GetObjectRequest { BucketName = _place.Bucket, Key = _place.Prefix + "owner" }, limit).ConfigureAwait(false);
            using var text = new StreamReader(response.ResponseStream);
            return await text.ReadToEndAsync(limit).ConfigureAwait(false);
        }
        catch (AmazonS3Exception e) when (Missing(e))
        {
            return null;
        }
    }, cancel);

    private async Task<GetObjectMetadataResponse?> HeadAsync(string key, CancellationToken cancel)
    {
        try
        {
            return await _client.GetObjectMetadataAsync(
                new GetObjectMetadataRequest { BucketName = _place.Bucket, Key = _place.Prefix + key, ChecksumMode = ChecksumMode.ENABLED }, cancel).ConfigureAwait(false);
        }
        catch (AmazonS3Exception e) when (Missing(e) && e.ErrorCode != "NoSuchBucket")
        {
            return null;
        }
    }

    /// <summary>What the server says it has: the length, and the SHA-256, or else the MD5 that its ETag may be, or else the bytes themselves.</summary>
    private async Task VerifyAsync(string key, string path, long length, byte[] sha256, CancellationToken cancel)
    {
        var head = await HeadAsync(key, cancel).ConfigureAwait(false);
        if (head is null || head.ContentLength != length)
            throw new HttpIOException(HttpRequestError.InvalidResponse, $"of {length} bytes that were stored the server has {head?.ContentLength ?? 0}");
        if (!string.IsNullOrEmpty(head.ChecksumSHA256))
        {
            if (head.ChecksumSHA256 != Convert.ToBase64String(sha256))
                throw new HttpIOException(HttpRequestError.InvalidResponse, "the server's checksum is of something else");
            return;
        }
        if (head.ETag?.Trim('"') is { Length: 32 } etag && etag == await Md5Async(path, cancel).ConfigureAwait(false))
            return;
        using var response = await _client.GetObjectAsync(Whole(key), cancel).ConfigureAwait(false);
        var found = await SHA256.HashDataAsync(response.ResponseStream, cancel).ConfigureAwait(false);
        if (!found.AsSpan().SequenceEqual(sha256))
            throw new HttpIOException(HttpRequestError.InvalidResponse, "the server has other bytes than were stored");
    }

    /// <summary>All of an object. The range keeps the client from hashing it once more by MD5 for the ETag: what comes is compared with its SHA-256, or looked at as it is.</summary>
    private GetObjectRequest Whole(string key) => new() { BucketName = _place.Bucket, Key = _place.Prefix + key, ByteRange = new ByteRange(0, ObjectBytesMax - 1) };

#pragma warning disable CA5351 // Compared with what S3 servers name an object's content by; nothing rests on its strength.
    private static async Task<string> Md5Async(string path, CancellationToken cancel)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, BufferBytes, FileOptions.SequentialScan);
        return Convert.ToHexStringLower(await MD5.HashDataAsync(file, cancel).ConfigureAwait(false));
    }
#pragma warning restore CA5351

    private static TimeSpan Limit(long bytes) => AttemptTime + TimeSpan.FromSeconds((double)bytes / BytesPerSecondMin);

    private Task<T> TryAsync<T>(string what, TimeSpan attemptTime, Func<CancellationToken, Task<T>> act, CancellationToken cancel) =>
        TryAsync(what, attemptTime, (limit, _) => act(limit), cancel);

    /// <param name="what">For the message: a verb and what it is done to.</param>
    /// <param name="attemptTime">For each attempt.</param>
    /// <param name="act">One attempt: its end, and how to put that off once more is known.</param>
    /// <param name="cancel">Gives up.</param>
    private async Task<T> TryAsync<T>(string what, TimeSpan attemptTime, Func<CancellationToken, Action<TimeSpan>, Task<T>> act, CancellationToken cancel)
    {
        for (var attempt = 1; ; attempt++)
        {
            using var limit = new CancellationTokenSource(attemptTime, _clock);
            using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancel);
            try
            {
                return await act(both.Token, limit.CancelAfter).ConfigureAwait(false);
            }
            catch (Exception e) when (!cancel.IsCancellationRequested && e is not SegmentStoreException && (Passing(e) || e is AmazonServiceException))
            {
                if (attempt == AttemptsMax || !Passing(e))
                    throw new SegmentStoreException($"The segment store {_place} could not {what}: {Reason(e)}.", e);
                _log.LogWarning("The segment store {Place} could not {What} at attempt {Attempt}: {Reason}; it is tried again", _place.ToString(), what, attempt, Reason(e));
            }
            // 0.2 s, doubled each time, and up to half as much more, so that many who wait do not come back together.
            await Task.Delay(TimeSpan.FromMilliseconds(200 * (1 << (attempt - 1)) * (1 + Random.Shared.NextDouble() / 2)), _clock, cancel).ConfigureAwait(false);
        }
    }

    /// <summary>Whether the same request may do better in a moment.</summary>
    private static bool Passing(Exception e) => e switch
    {
        AmazonS3Exception { StatusCode: HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or HttpStatusCode.Conflict or >= HttpStatusCode.InternalServerError and not HttpStatusCode.NotImplemented } => true,
        AmazonS3Exception { ErrorCode: "XAmzContentSHA256Mismatch" or "BadDigest" or "RequestTimeout" or "IncompleteBody" } => true,
        AmazonServiceException { StatusCode: 0 } or HttpRequestException or HttpIOException or OperationCanceledException or System.Net.Sockets.SocketException => true,
        // The disk being full is no fault of the server, nor a passing one.
        IOException => !StorageFull.Is(e) && e.InnerException is System.Net.Sockets.SocketException,
        _ => false,
    };

    private static string Reason(Exception e) => e switch
    {
        AmazonS3Exception { ErrorCode: "NoSuchBucket" } => "the bucket does not exist",
        AmazonS3Exception { StatusCode: HttpStatusCode.Forbidden } s3 => $"the server refuses the access key ({s3.ErrorCode})",
        AmazonS3Exception { StatusCode: not 0 } s3 => $"the server answered {(int)s3.StatusCode} {s3.ErrorCode}",
        OperationCanceledException => "the server did not answer in time",
        _ => e.GetBaseException().Message.TrimEnd('.'),
    };

    private static bool Missing(AmazonS3Exception e) => e.StatusCode == HttpStatusCode.NotFound && e.ErrorCode != "NoSuchBucket";
}
