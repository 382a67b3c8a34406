using System.ComponentModel.DataAnnotations;
using Gongzhi.Core;
using Gongzhi.Ledger;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// Everything an operator may set about the host. Bound from the configuration section <c>Gongzhi</c> (file, then environment
/// <c>GONGZHI__…</c>, then the command line); checked before anything starts; described in docs/contracts/configuration.md.
/// </summary>
public sealed record NodeOptions
{
    /// <summary>Directory that holds everything this world owns.</summary>
    [Required(AllowEmptyStrings = false)]
    public string Data { get; init; } = "data";

    /// <summary>Name of the world; part of cookie names and of the ledger origin. Fixed at the first start.</summary>
    [Required, RegularExpression("^[a-z][a-z0-9-]{0,31}$")]
    public string World { get; init; } = "main";

    /// <summary>Whether this is the real world, a drill or a test. Fixed at the first start.</summary>
    public WorldKind Kind { get; init; } = WorldKind.Real;

    /// <summary>The ledger's origin line; made from the world's name and a random part when absent. Fixed at the first start.</summary>
    [StringLength(128, MinimumLength = 1)]
    public string? LedgerOrigin { get; init; }

    /// <summary>Npgsql connection string of the PostgreSQL database that holds the world's state; absent: a file in the data directory. Fixed at the first start.</summary>
    [StringLength(2_000, MinimumLength = 1)]
    public string? Database { get; init; }

    /// <summary>Time zone whose midnight begins a day: on it reforms of the territory take effect.</summary>
    [Required(AllowEmptyStrings = false)]
    public string TimeZone { get; init; } = "Asia/Shanghai";

    /// <summary>Addresses to listen on, separated by semicolons.</summary>
    [Required(AllowEmptyStrings = false)]
    public string Urls { get; init; } = "http://localhost:5080";

    /// <summary>The address others know this node by; the issuer of its tokens. Absent: taken from each request.</summary>
    [Url]
    public string? PublicUrl { get; init; }

    /// <summary>Allows signing in and tokens over plain HTTP from other machines (an intranet without certificates).</summary>
    public bool AllowPlainHttp { get; init; }

    /// <summary>Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses or networks, separated by commas.</summary>
    public string? TrustedProxies { get; init; }

    /// <summary>Offers a one-time link for creating the first administrator while there is none.</summary>
    public bool Empty { get; init; }

    /// <summary><c>ID:SECRET</c> of a client that may do everything, made on an empty node.</summary>
    [StringLength(400)]
    public string? BootstrapClient { get; init; }

    /// <summary>Largest body of an ordinary request, in bytes.</summary>
    [Range(1_024, 1L << 30)]
    public long RequestBytesMax { get; init; } = 1L << 20;

    /// <summary>Largest body of a contribution of records, in bytes.</summary>
    [Range(1_024, 1L << 40)]
    public long UploadBytesMax { get; init; } = 10L << 30;

    /// <summary>Bytes of disk that contributions leave free: below, they are refused, while readings, small changes and the ledger go on. 0: no such reserve.</summary>
    [Range(0, 1L << 50)]
    public long FreeBytesMin { get; init; } = 256L << 20;

    /// <summary>
    /// Where segments are kept: absent, the data directory; an absolute path or <c>file:///DIR</c>, a directory that several machines mount;
    /// <c>s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&amp;region=R&amp;path-style=true</c>, object storage. Holds no credentials.
    /// </summary>
    [StringLength(1_000)]
    public string? Segments { get; init; }

    /// <summary>Id of the access key to the object storage.</summary>
    [StringLength(200)]
    public string? SegmentsKey { get; init; }

    /// <summary>Secret of the access key to the object storage; best given by the environment.</summary>
    [StringLength(400)]
    public string? SegmentsSecret { get; init; }

    /// <summary>Megabytes of segments of an object storage that are kept on this machine's disk; what queries need at one time is kept beyond it.</summary>
    [Range(0, 100_000_000)]
    public int SegmentCacheMegabytes { get; init; } = 10_240;

    /// <summary>Longest time an ordinary request may take, in seconds.</summary>
    [Range(1, 3_600)]
    public int RequestSecondsMax { get; init; } = 60;

    /// <summary>Longest time a contribution or a download may take, in minutes.</summary>
    [Range(1, 1_440)]
    public int UploadMinutesMax { get; init; } = 240;

    /// <summary>How long a node that was told to stop goes on taking requests while <c>/health/ready</c> answers 503, in seconds: as long as the load balancer takes to notice. What was taken then has 30 s more.</summary>
    [Range(0, 600)]
    public int DrainSeconds { get; init; }

    /// <summary>Connections open at one time.</summary>
    [Range(10, 1_000_000)]
    public int ConnectionsMax { get; init; } = 10_000;

    /// <summary>Requests a second of one signed-in caller, on average; twice as many in a burst. 0: no limit.</summary>
    [Range(0, 1_000_000)]
    public int CallerRequestsPerSecond { get; init; } = 10_000;

    /// <summary>Requests a second from one address without an account, on average; twice as many in a burst. 0: no limit.</summary>
    [Range(0, 1_000_000)]
    public int AddressRequestsPerSecond { get; init; } = 500;

    /// <summary>Queries worked on at one time; others wait up to 5 s. One caller has at most half of these places, those without an account leave one.</summary>
    [Range(1, 1_024)]
    public int QueriesRunningMax { get; init; } = 4;

    /// <summary>Longest time one query is worked on, in seconds; how long its answer takes to be read does not count.</summary>
    [Range(1, 86_400)]
    public int QuerySecondsMax { get; init; } = 120;

    /// <summary>Answers of queries open at one time, worked on or being read; those without an account have at most half of them.</summary>
    [Range(1, 100_000)]
    public int AnswersOpenMax { get; init; } = 256;

    /// <summary>Answers that one signed-in caller, or one address without an account, has open at one time.</summary>
    [Range(1, 100_000)]
    public int CallerAnswersMax { get; init; } = 32;

    /// <summary>Attempts to sign in a minute from one address (forms, one-time codes, passkeys). 0: no limit.</summary>
    [Range(0, 100_000)]
    public int SignInsPerMinute { get; init; } = 30;

    /// <summary>Token requests a minute from one address. 0: no limit.</summary>
    [Range(0, 1_000_000)]
    public int TokensPerMinute { get; init; } = 600;

    /// <summary>Wrong passwords in a row before an account is locked.</summary>
    [Range(1, 100)]
    public int LockoutAttempts { get; init; } = 5;

    /// <summary>How long an account stays locked, in minutes.</summary>
    [Range(1, 1_440)]
    public int LockoutMinutes { get; init; } = 15;

    /// <summary>A session ends after this long without a request, in minutes.</summary>
    [Range(1, 1_440)]
    public int SessionIdleMinutes { get; init; } = 30;

    /// <summary>A session ends after this long whatever happens, in hours.</summary>
    [Range(1, 168)]
    public int SessionHours { get; init; } = 12;

    /// <summary>Life of an access token, in minutes.</summary>
    [Range(1, 60)]
    public int AccessTokenMinutes { get; init; } = 10;

    /// <summary>Address (issuer) of the OpenID Connect provider at which people may sign in; https, or http on this machine. Absent: accounts of this node only.</summary>
    [StringLength(400, MinimumLength = 1)]
    public string? OidcAuthority { get; init; }

    /// <summary>This node's client id at that provider.</summary>
    [StringLength(200, MinimumLength = 1)]
    public string? OidcClientId { get; init; }

    /// <summary>This node's client secret there; best given by <see cref="OidcClientSecretFile"/> or the environment.</summary>
    [StringLength(4_096, MinimumLength = 1)]
    public string? OidcClientSecret { get; init; }

    /// <summary>File that holds <see cref="OidcClientSecret"/>; white space round it does not count.</summary>
    [StringLength(1_000, MinimumLength = 1)]
    public string? OidcClientSecretFile { get; init; }

    /// <summary>What the provider is called on the sign-in page, in English; absent: the host of its address.</summary>
    [StringLength(60, MinimumLength = 1)]
    public string? OidcName { get; init; }

    /// <summary>What it is called there in Chinese; absent: as in English.</summary>
    [StringLength(60, MinimumLength = 1)]
    public string? OidcNameZh { get; init; }

    /// <summary>Npgsql connection string of the PostgreSQL database that several machines share, for the world's state and for knowing each other; absent: this machine is alone.</summary>
    [StringLength(2_000, MinimumLength = 1)]
    public string? Cluster { get; init; }

    /// <summary>
    /// The secret under which the keys that all machines of a cluster share are kept in <see cref="Database"/>, at least 32 bytes, the same on every machine; best given by
    /// <see cref="ClusterSecretFile"/> or the environment. Absent: keys are files of the data directory.
    /// </summary>
    [StringLength(4_096, MinimumLength = 32)]
    public string? ClusterSecret { get; init; }

    /// <summary>File that holds <see cref="ClusterSecret"/>; white space round it does not count.</summary>
    [StringLength(1_000, MinimumLength = 1)]
    public string? ClusterSecretFile { get; init; }

    /// <summary>File that holds a checkpoint of this log as somebody else has kept it: a node whose log does not continue it starts read-only.</summary>
    [StringLength(1_000, MinimumLength = 1)]
    public string? RetainedCheckpoint { get; init; }

    /// <summary>Witnesses (C2SP tlog-witness) that cosign this log's checkpoints, separated by semicolons: the witness's key, a space, its address.</summary>
    [StringLength(8_000, MinimumLength = 1)]
    public string? Witnesses { get; init; }

    /// <summary>How many of them must have answered at the start, that what is stored is not older than what they have seen; with fewer the node starts read-only.</summary>
    [Range(0, 64)]
    public int WitnessesNeeded { get; init; }

    /// <summary>Between two checkpoints that are shown to them, in seconds.</summary>
    [Range(1, 3_600)]
    public int WitnessSeconds { get; init; } = 10;

    /// <summary>Keys of other nodes' logs that this node cosigns as their witness, separated by semicolons or lines.</summary>
    [StringLength(16_000, MinimumLength = 1)]
    public string? WitnessedLogs { get; init; }

    /// <summary>The address of this machine that the others of its cluster reach it by: a private one, never that of every interface.</summary>
    [Required(AllowEmptyStrings = false)]
    public string SiloAddress { get; init; } = "127.0.0.1";

    /// <summary>The port for it. 0: a free one, which the others learn from the table.</summary>
    [Range(0, 65_535)]
    public int SiloPort { get; init; }

    /// <summary>PEM file of the certificate that this machine shows the others, for servers and clients.</summary>
    public string? SiloCertificate { get; init; }

    /// <summary>PEM file of its private key.</summary>
    public string? SiloKey { get; init; }

    /// <summary>PEM file of the cluster's own certificate authority: whoever has a certificate of it is let in, under any name.</summary>
    public string? SiloAuthority { get; init; }

    /// <summary>Where traces and metrics of a real world go by OTLP; absent: nowhere. A drill or test sends none.</summary>
    [Url]
    public string? OtlpEndpoint { get; init; }

    /// <summary>Bearer token that opens /metrics to other machines; absent: only this machine may read it.</summary>
    [StringLength(256, MinimumLength = 16)]
    public string? MetricsToken { get; init; }

    /// <summary>Writes the log as one JSON object a line.</summary>
    public bool JsonLogs { get; init; }

    /// <summary>The cluster's secret, wherever it was given; null when keys are files.</summary>
    /// <exception cref="StartRefusedException">It cannot be had, or is given where it has no meaning or not where it is needed.</exception>
    internal string? Secret()
    {
        var secret = ClusterSecret;
        if (ClusterSecretFile is { } file)
        {
            if (secret is not null)
                throw new StartRefusedException("Give ClusterSecret or ClusterSecretFile, not both.");
            try
            {
                if (new FileInfo(file).Length > Core.Storage.ClusterSecret.BytesMax)
                    throw new StartRefusedException($"The file {file} is too long for a cluster's secret.");
                secret = File.ReadAllText(file).Trim();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new StartRefusedException($"The cluster's secret cannot be read: {e.Message}");
            }
        }
        if (secret is null)
            return Cluster is not null
                ? throw new StartRefusedException("The machines of a cluster share their keys: give each the same ClusterSecret or ClusterSecretFile.") : null;
        if ((Database ?? Cluster) is null)
            throw new StartRefusedException("ClusterSecret belongs to a world whose state is in PostgreSQL, and neither Cluster nor Database is set.");
        return System.Text.Encoding.UTF8.GetByteCount(secret) is >= Core.Storage.ClusterSecret.BytesMin and <= Core.Storage.ClusterSecret.BytesMax ? secret
            : throw new StartRefusedException($"ClusterSecret must be {Core.Storage.ClusterSecret.BytesMin} to {Core.Storage.ClusterSecret.BytesMax} bytes long.");
    }

    /// <summary>The witnesses with their addresses.</summary>
    /// <exception cref="StartRefusedException">One is not well written.</exception>
    internal IReadOnlyList<(NoteVerifier Key, Uri Address)> WitnessPlaces()
    {
        var places = new List<(NoteVerifier, Uri)>();
        foreach (var entry in (Witnesses ?? "").Split([';', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var parts = entry.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (parts.Length != 2 || !NoteVerifier.TryParse(parts[0], out var key) || key.Type != NoteKeyType.CosignatureV1)
                throw new StartRefusedException($"Witnesses must name for each witness its cosignature key, a space, and its address; this is not so: {entry}");
            if (!Uri.TryCreate(parts[1], UriKind.Absolute, out var address) || !(address.Scheme == Uri.UriSchemeHttps || (address.Scheme == Uri.UriSchemeHttp && (address.IsLoopback || AllowPlainHttp))))
                throw new StartRefusedException($"The address of the witness {key.Name} must be https, or http on this machine.");
            places.Add((key, address));
        }
        return places.Count >= WitnessesNeeded ? places : throw new StartRefusedException($"WitnessesNeeded is {WitnessesNeeded}, and Witnesses names {places.Count}.");
    }

    /// <summary>The logs that are cosigned here.</summary>
    /// <exception cref="StartRefusedException">One is not well written.</exception>
    internal IReadOnlyList<NoteVerifier> LogsWitnessed() =>
    [
        .. (WitnessedLogs ?? "").Split([';', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Select(entry => NoteVerifier.TryParse(entry, out var key) && key.Type == NoteKeyType.Ed25519 ? key : throw new StartRefusedException($"WitnessedLogs must name logs' verifier keys; this is none: {entry}")),
    ];

    /// <summary>The place of the segments with its credentials.</summary>
    /// <exception cref="StartRefusedException">It is not well written.</exception>
    internal Core.Storage.Segments.SegmentPlace SegmentPlace()
    {
        try
        {
            return Core.Storage.Segments.SegmentPlace.Parse(Segments, SegmentsKey, SegmentsSecret, (long)SegmentCacheMegabytes << 20);
        }
        catch (FormatException e)
        {
            throw new StartRefusedException(e.Message);
        }
    }
}
