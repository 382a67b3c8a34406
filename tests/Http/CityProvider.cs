using System.Net;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity.External;
using Gongzhi.Node.Tokens;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.IdentityModel.Tokens;
using OpenIddict.Abstractions;
using OpenIddict.Server;

namespace Gongzhi.Tests.Http;

/// <summary>
/// A city's identity provider: a node of its own, on its own port and disk, whose OpenID Connect side is all that the node under test sees of it. It can be made to answer wrongly.
/// </summary>
internal sealed class CityProvider : IAsyncDisposable
{
    public const string ClientId = "gongzhi";
    private const string ClientSecret = "the-secret-of-the-node-at-the-city";

    private CityProvider(TestNode node) => Node = node;

    public TestNode Node { get; }

    public Uri Address => Node.Address;

    /// <summary>As identities of it are written down: without the slash.</summary>
    public string Issuer => Address.AbsoluteUri.TrimEnd('/');

    /// <summary>Changes the next identity token before it is signed.</summary>
    public Action<SecurityTokenDescriptor>? Twist { get; set; }

    /// <summary>Changes it after it was signed.</summary>
    public Func<string, string>? Forge { get; set; }

    public static async Task<CityProvider> StartAsync(Func<NodeOptions, NodeOptions>? change = null)
    {
        CityProvider? made = null;
        var node = await TestNode.StartAsync(o => (change ?? (same => same))(o with { SignInsPerMinute = 0, TokensPerMinute = 0 }), b => b.Services.AddOpenIddict().AddServer(server =>
        {
            server.AddEventHandler<OpenIddictServerEvents.GenerateTokenContext>(h => h
                .SetOrder(OpenIddictServerHandlers.Protection.GenerateIdentityModelToken.Descriptor.Order - 1)
                .UseInlineHandler(context =>
                {
                    if (context.TokenType == OpenIddictConstants.TokenTypeIdentifiers.IdentityToken)
                        made!.Twist?.Invoke(context.SecurityTokenDescriptor);
                    return default;
                }));
            server.AddEventHandler<OpenIddictServerEvents.ApplyTokenResponseContext>(h => h.SetOrder(int.MinValue).UseInlineHandler(context =>
            {
                if (context.Response.IdToken is { } token && made!.Forge is { } forge)
                    context.Response.IdToken = forge(token);
                return default;
            }));
        }), ownKeys: true);
        return made = new CityProvider(node);
    }

    /// <summary>The settings of a node that lets people sign in here.</summary>
    public NodeOptions Offered(NodeOptions options) => options with
    {
        OidcAuthority = Issuer, OidcClientId = ClientId, OidcClientSecret = ClientSecret, OidcName = "Lanhe City", OidcNameZh = "澜和市统一身份认证", SignInsPerMinute = 0,
    };

    /// <summary>A node that lets people sign in here, registered as a client.</summary>
    public async Task<TestNode> OfferAsync(Func<NodeOptions, NodeOptions>? change = null, bool ownsDirectory = true)
    {
        var node = await TestNode.StartAsync(o => (change ?? (same => same))(Offered(o)), ownsDirectory: ownsDirectory);
        await RegisterAsync(node.Address);
        return node;
    }

    public async Task RegisterAsync(params Uri[] nodes)
    {
        using var scope = Node.App.Services.CreateScope();
        await scope.ServiceProvider.GetRequiredService<IOpenIddictApplicationManager>().CreateAsync(
            ClientRegistration.Describe(ClientId, "Gongzhi", ClientSecret, [.. nodes.Select(n => new Uri(n, ExternalSetup.CallbackPath).AbsoluteUri)], renewal: 0));
    }

    /// <summary>Leads back to this address too.</summary>
    public async Task AllowAsync(Uri node)
    {
        using var scope = Node.App.Services.CreateScope();
        var clients = scope.ServiceProvider.GetRequiredService<IOpenIddictApplicationManager>();
        var client = (await clients.FindByClientIdAsync(ClientId))!;
        var descriptor = new OpenIddictApplicationDescriptor();
        await clients.PopulateAsync(descriptor, client);
        descriptor.RedirectUris.Add(new Uri(node, ExternalSetup.CallbackPath));
        await clients.UpdateAsync(client, descriptor);
    }

    /// <summary>Somebody who has an account here; answers the subject by which this provider names him.</summary>
    public async Task<string> AddAsync(string name) => (await Node.AddAccountAsync(name)).Id;

    public ValueTask DisposeAsync() => Node.DisposeAsync();
}

/// <summary>One person's browser: cookies for all sites, and the way from one to the other step by step.</summary>
internal sealed class ProviderVisitor : IDisposable
{
    private readonly SocketsHttpHandler _handler = new() { AllowAutoRedirect = false, CookieContainer = new CookieContainer() };

    public ProviderVisitor(TestNode node, CityProvider city)
    {
        Http = new HttpClient(_handler, disposeHandler: false) { BaseAddress = node.Address };
        City = new HttpClient(_handler, disposeHandler: false) { BaseAddress = city.Address };
    }

    public HttpClient Http { get; }

    public HttpClient City { get; }

    /// <summary>Signs in at the provider, where the session stays.</summary>
    public async Task<ProviderVisitor> AtCityAsync(string name)
    {
        using var signedIn = await City.SignInAsync(name, TestNode.Password);
        Assert.Equal("/", signedIn.Headers.Location?.ToString());
        return this;
    }

    /// <summary>Presses the button, and answers the address of the provider that it leads to.</summary>
    public async Task<Uri> StateAsync()
    {
        using var started = await Http.SubmitAsync("/account/external");
        return started.Headers.Location!;
    }

    /// <summary>Presses the button, and answers the address to which the provider leads back.</summary>
    public async Task<Uri> CallbackAsync(params (string, string)[] form)
    {
        using var started = await Http.SubmitAsync("/account/external", form);
        Assert.True(started.StatusCode == HttpStatusCode.Redirect, $"{(int)started.StatusCode}: {await started.Content.ReadAsStringAsync()}");
        using var back = await City.GetAsync(started.Headers.Location);
        Assert.True(back.StatusCode == HttpStatusCode.Redirect, $"{(int)back.StatusCode}: {await back.Content.ReadAsStringAsync()}");
        return back.Headers.Location!;
    }

    /// <summary>The whole way; answers what the node says at its end.</summary>
    public async Task<HttpResponseMessage> EnterAsync(params (string, string)[] form)
    {
        using var checkedAnswer = await Http.GetAsync(await CallbackAsync(form));
        if (checkedAnswer.Headers.Location?.OriginalString != ExternalSetup.DonePath)
            Assert.Fail($"{(int)checkedAnswer.StatusCode} {checkedAnswer.Headers.Location}: {await checkedAnswer.Content.ReadAsStringAsync()}");
        return await Http.GetAsync(ExternalSetup.DonePath);
    }

    public Task<HttpResponseMessage> WhoAsync() => Http.GetAsync("/api/test/whoami");

    public void Dispose()
    {
        Http.Dispose();
        City.Dispose();
        _handler.Dispose();
    }
}
