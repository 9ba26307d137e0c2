mod access;
mod answer;
mod request;
mod target;
