//! Redirects, which reqwest follows beneath the middleware, and a layer of tower-http around ours.

use access_tokens::http::{BearerLayer, Origins};
use access_tokens_sandbox::{Endpoint, Fault, Refusal, Sandbox};
use http::{Request, Response, StatusCode};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt};
use tower_http::follow_redirect::{FollowRedirectLayer, RequestUri, policy};

use crate::{
    clients::{cache, reqwest_client},
    recorder::NoBody,
};

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

#[tokio::test]
async fn the_token_stays_behind_when_a_redirect_leads_elsewhere() {
    for status in REDIRECTS {
        let (sandbox, other) = (Sandbox::start().await.unwrap(), Sandbox::start().await.unwrap());
        let cache = cache(&sandbox, "sandbox-password");
        let client = reqwest_client(&cache, &sandbox);
        let elsewhere = [other.resource_url(), other.resource_url().replace("127.0.0.1", "localhost")];
        for (visits, location) in elsewhere.into_iter().enumerate() {
            sandbox.fault(Endpoint::Resource, Fault::redirect(status, location.clone())).unwrap();
            let answer = client.post(sandbox.resource_url()).body("x").send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.url().as_str()), (401, location.as_str()), "{status}");
            // Nothing that a server says there can bring the token out.
            assert_eq!(other.refused(Refusal::Missing), visits as u64 + 1, "{status} {location}");
        }
        // It isn't this token that was refused: no replay, no exchange, and it serves on.
        assert_eq!(client.get(sandbox.resource_url()).send().await.unwrap().status(), 200, "{status}");
        let counts = (sandbox.requests(Endpoint::Resource), sandbox.requests(Endpoint::Onence));
        assert_eq!(counts, (3, 1), "{status}");
    }
}

#[tokio::test]
async fn the_token_goes_along_when_a_redirect_stays_at_the_origin() {
    for status in REDIRECTS {
        let sandbox = Sandbox::start().await.unwrap();
        let cache = cache(&sandbox, "sandbox-password");
        let client = reqwest_client(&cache, &sandbox);
        for location in [sandbox.resource_url(), "/resource".to_owned()] {
            sandbox.fault(Endpoint::Resource, Fault::redirect(status, location.clone())).unwrap();
            let answer = client.get(sandbox.resource_url()).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{status} {location}");
        }

        // A 401 at the end of the way is this token's.
        sandbox.revoke_all();
        sandbox.fault(Endpoint::Resource, Fault::redirect(status, "/resource")).unwrap();
        assert_eq!(client.get(sandbox.resource_url()).send().await.unwrap().status(), 200, "{status}");
        assert_eq!(sandbox.requests(Endpoint::Onence), 2, "{status}");
    }
}

#[tokio::test]
async fn each_hop_of_a_redirect_followed_around_the_layer_is_looked_at() {
    for status in REDIRECTS {
        let (sandbox, other) = (Sandbox::start().await.unwrap(), Sandbox::start().await.unwrap());
        let bearer = BearerLayer::new(cache(&sandbox, "sandbox-password"), Origins::new([sandbox.url()]).unwrap());
        // Its usual policy takes credentials off at another origin. This one leaves all to the layer beneath.
        let client = ServiceBuilder::new()
            .layer(FollowRedirectLayer::with_policy(policy::Limited::default()))
            .layer(bearer)
            .service(legacy::Client::builder(TokioExecutor::new()).build_http::<NoBody>());
        let visit = async || {
            let request = Request::get(sandbox.resource_url()).body(NoBody::new()).unwrap();
            came_from(&client.clone().oneshot(request).await.unwrap())
        };

        // On the same origin the token goes along.
        sandbox.fault(Endpoint::Resource, Fault::redirect(status, "/resource")).unwrap();
        assert_eq!(visit().await, (StatusCode::OK, sandbox.resource_url()), "{status}");

        // To another port it doesn't, and what is answered there takes no token out of service.
        sandbox.fault(Endpoint::Resource, Fault::redirect(status, other.resource_url())).unwrap();
        assert_eq!(visit().await, (StatusCode::UNAUTHORIZED, other.resource_url()), "{status}");
        assert_eq!(other.refused(Refusal::Missing), 1, "{status}");

        // On the way back it is there again.
        sandbox.fault(Endpoint::Resource, Fault::redirect(status, other.resource_url())).unwrap();
        other.fault(Endpoint::Resource, Fault::redirect(status, sandbox.resource_url())).unwrap();
        assert_eq!(visit().await, (StatusCode::OK, sandbox.resource_url()), "{status}");
        assert_eq!(sandbox.requests(Endpoint::Onence), 1, "{status}");
    }
}

/// The status of the last hop, and where that was.
fn came_from<T>(answer: &Response<T>) -> (StatusCode, String) {
    let RequestUri(uri) = answer.extensions().get().unwrap();
    (answer.status(), uri.to_string())
}
